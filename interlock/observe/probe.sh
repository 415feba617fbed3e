# What is there on this host? The twin of probe.py for hosts without Python: POSIX sh with stat, find, od and readlink, as dash and busybox have them.
#
# Sent on stdin to `sh -s` and followed by calls: interlock_start NONCE, one look_* for each look, interlock_finish. It opens nothing for writing.
# Every record starts with a newline and the nonce, which no file name can know: so names and contents are sent as they are, newlines too.
# What cannot be had here is a failed look; nothing is guessed. `reply.py` reads the records.

LC_ALL=C
export LC_ALL
unset CDPATH ENV BASH_ENV POSIXLY_CORRECT LS_COLORS TABSIZE QUOTING_STYLE BLOCK_SIZE TIME_STYLE
newline='
'
exec 3>&1

put() { # WORDS: the head of a record; what follows on stdout is its text
	printf '\n%s %s ' "$nonce" "$*"
}

failed() { # INDEX TEXT: the words of a tool that could not look
	put failed "$1"
	printf '%s' "$2"
}

refused() { # INDEX CODE TEXT
	put refused "$1" "$2"
	printf '%s' "$3"
}

refused_unasked() {
	looked=$((looked + 1))
	refused "$@"
}

has() { command -v "$1" >/dev/null 2>&1; }

interlock_start() { # NONCE
	nonce=$1
	looked=0
	uid=$(id -u 2>/dev/null) || uid=-1
	user=$(id -un 2>/dev/null | tr -cd 'A-Za-z0-9._@+-')
	name=$(uname -n 2>/dev/null | tr -cd 'A-Za-z0-9._-')
	printf '\n{"interlock_probe":1,"nonce":"%s","user":"%s","uid":%s,"hostname":"%s","utc":"%s","python":""}\n' \
		"$nonce" "${user:-$uid}" "$uid" "$name" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
	stat_works=$(stat -c '%f %u %g %s %Y %h %d' / 2>/dev/null)
}

needs_stat() { # INDEX
	looked=$((looked + 1))
	[ -n "$stat_works" ] && return 0
	refused "$1" no-tool 'this host has neither python3 nor a stat that takes -c'
	return 1
}

look_stat() { # INDEX PATH
	needs_stat "$1" || return
	if ! seen=$(stat -c '%f %u %g %s %Y' -- "$2" 2>&1); then
		failed "$1" "$seen"
		return
	fi
	put stat "$1"
	printf '%s' "$seen"
	if device=$(stat -L -c '%d' -- "$2" 2>&1); then
		put device "$1"
	else
		put nodevice "$1"
	fi
	printf '%s' "$device"
	put realpath "$1"
	readlink -f -- "$2" 2>/dev/null
}

look_read() { # INDEX PATH BYTES: at most so many, one more than the limit
	needs_stat "$1" || return
	if ! kind=$(stat -L -c '%F' -- "$2" 2>&1); then
		failed "$1" "$kind"
		return
	fi
	if [ ! -f "$2" ]; then
		refused "$1" not-regular "it is a $kind, not a regular file"
		return
	fi
	put bytes "$1"
	if wrong=$({ od -An -v -tx1 -N "$3" <"$2" >&3; } 2>&1); then
		put whole "$1"
	else
		failed "$1" "$wrong"
	fi
}

look_mounts() { # INDEX
	needs_stat "$1" || return
	put mountinfo "$1"
	if ! wrong=$({ cat /proc/self/mountinfo >&3; } 2>&1); then
		failed "$1" "$wrong"
		return
	fi
	for link in /dev/disk/by-*/*; do
		[ -L "$link" ] || continue
		target=$(readlink -f -- "$link") || continue
		put link "$1"
		printf '%s\n%s' "${link#/dev/disk/}" "$target"
	done
	find /dev \( -type b -o -type c -o -type l \) -exec stat -L -c "$newline$nonce rdev $1 %t %T %F/%n" {} + 2>/dev/null
	put whole "$1"
}

look_user() { # INDEX NAME
	looked=$((looked + 1))
	if has getent; then
		found=$(getent passwd "$2" 2>&1)
		case $?:$found in
		0:"$2":*)
			found=${found#*:*:}
			put uid "$1"
			printf '%s' "${found%%:*}"
			;;
		0:* | 2:*) put nobody "$1" ;;
		*) failed "$1" "getent: $found" ;;
		esac
		return
	fi
	case $2 in
	*[!0-9]*) ;;
	*)
		refused "$1" no-tool 'this host has neither python3 nor getent, and to id a number is a uid'
		return
		;;
	esac
	if found=$(id -u -- "$2" 2>&1); then
		put uid "$1"
		printf '%s' "$found"
	else
		case $found in
		*'no such user'* | *'unknown user'*) put nobody "$1" ;;
		*) failed "$1" "$found" ;;
		esac
	fi
}

look_walk() { # INDEX ROOT
	needs_stat "$1" || return
	if ! kind=$(stat -c '%F' -- "$2" 2>&1); then
		failed "$1" "$kind"
		return
	fi
	if [ -L "$2" ]; then
		refused "$1" ELOOP 'it is a symbolic link, and a walk follows none'
		return
	elif [ ! -d "$2" ]; then
		refused "$1" ENOTDIR "it is a $kind, not a directory"
		return
	fi
	walk_acls "$1" "$2" || return
	find "$2" -type d -exec sh -c '
		nonce=$1 index=$2
		shift 2
		for directory do
			[ -r "$directory" ] && [ -x "$directory" ] || printf "\n%s closed %s %s" "$nonce" "$index" "$directory"
		done' sh "$nonce" "$1" {} + 2>/dev/null
	find "$2" -type l -exec sh -c '
		nonce=$1 index=$2
		shift 2
		for link do
			printf "\n%s link %s %s\n%s target %s " "$nonce" "$index" "$link" "$nonce" "$index"
			readlink -- "$link"
		done' sh "$nonce" "$1" {} + 2>/dev/null
	wrong=$({ find "$2" -exec stat -c "$newline$nonce entry $1 %f %u %g %s %Y %h %d %n" {} + >&3; } 2>&1)
	code=$?
	put walked "$1" "$code"
	printf '%s' "$wrong"
}

walk_acls() { # INDEX ROOT: the extended ACLs below a directory, or proof that there are none
	if has getfacl; then
		put acls "$1"
		getfacl -R -P -s -n -p -- "$2" 2>/dev/null
		return 0
	fi
	case $(ls --version 2>/dev/null) in
	*coreutils*) # its ls marks what has an ACL
		if find "$2" ! -type l -exec ls -ldn {} + 2>/dev/null | cut -c11 | grep -q '+'; then
			refused "$1" no-tool 'it has ACLs, and this host has neither python3 nor getfacl'
			return 1
		fi
		return 0
		;;
	esac
	refused "$1" no-tool 'ACLs cannot be seen: this host has neither python3 nor getfacl'
	return 1
}

interlock_finish() {
	put end "$looked"
	put farewell
}
