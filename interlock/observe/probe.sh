# What is there on this host? The twin of probe.py for hosts without Python: POSIX sh with stat, find, od, tr and readlink, as dash and busybox have them.
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

look_space() { # INDEX PATH
	needs_stat "$1" || return
	if ! seen=$(stat -f -c '%S %b %a %c %d' -- "$2" 2>&1); then
		failed "$1" "$seen"
		return
	fi
	put space "$1"
	printf '%s' "$seen"
	put mountinfo "$1"
	if ! wrong=$({ cat /proc/self/mountinfo >&3; } 2>&1); then
		failed "$1" "$wrong"
		return
	fi
	put place "$1"
	readlink -f -- "$2" 2>/dev/null
}

needs_folder() { # INDEX PATH
	needs_stat "$1" || return
	if ! kind=$(stat -L -c '%F' -- "$2" 2>&1); then
		failed "$1" "$kind"
	elif [ ! -d "$2" ]; then
		refused "$1" ENOTDIR 'Not a directory'
	elif [ ! -r "$2" ] || [ ! -x "$2" ]; then
		refused "$1" EACCES 'Permission denied'
	else
		return 0
	fi
	return 1
}

look_folder() { # INDEX PATH [SUFFIX...]
	needs_folder "$1" "$2" || return
	index=$1 folder=${2%/}
	shift 2
	files=0 room=8388608
	for file in "$folder"/*; do
		wanted "${file##*/}" "$@" || continue
		if [ -c "$file" ] && [ "$(readlink -f -- "$file")" = /dev/null ]; then
			put masked "$index"
			printf '%s' "${file##*/}"
			continue
		fi
		[ -f "$file" ] || continue
		size=$(stat -L -c '%s' -- "$file" 2>/dev/null) || continue
		files=$((files + 1))
		[ "$size" -gt 1048576 ] || room=$((room - size))
		if [ "$files" -gt 2000 ] || [ "$room" -lt 0 ]; then
			refused "$index" too-large 'its files have more than 8388608 bytes, or are more than 2000'
			return
		fi
		put name "$index"
		printf '%s' "${file##*/}"
		if [ "$size" -gt 1048576 ]; then
			put unread "$index"
			printf 'it has %s bytes, more than the limit of 1048576' "$size"
			continue
		fi
		put content "$index"
		wrong=$({ od -An -v -tx1 -N 1048577 <"$file" >&3; } 2>&1) && continue
		put unread "$index"
		printf '%s' "$wrong"
	done
	put whole "$index"
}

look_list() { # INDEX PATH
	needs_folder "$1" "$2" || return
	entries=0
	for entry in "${2%/}"/* "${2%/}"/.[!.]* "${2%/}"/..?*; do
		mode=$(stat -c '%f' -- "$entry" 2>/dev/null) || continue
		entries=$((entries + 1))
		if [ "$entries" -gt 20000 ]; then
			refused "$1" too-large 'it has more than 20000 entries'
			return
		fi
		put entry "$1"
		printf '%s %s' "$mode" "${entry##*/}"
	done
	put whole "$1"
}

wanted() { # NAME [SUFFIX...]
	case $1 in
	'#'* | *'~' | *'#' | *.dpkg-*) return 1 ;;
	esac
	name=$1
	shift
	[ $# -gt 0 ] || return 0
	for suffix; do
		case $name in
		*"$suffix") return 0 ;;
		esac
	done
	return 1
}

look_secret() { # INDEX PATH FORMAT
	needs_stat "$1" || return
	if ! has tr || ! has od; then
		refused "$1" no-tool 'this host has neither python3 nor tr and od'
		return
	fi
	if ! seen=$(stat -L -c '%f %u %g %s' -- "$2" 2>&1); then
		failed "$1" "$seen"
		return
	fi
	kind=$(stat -L -c '%F' -- "$2" 2>/dev/null)
	if [ ! -f "$2" ]; then
		fault='irregular' blank=0
	elif [ "${seen##* }" -gt 1048576 ]; then
		fault='it has more than 1048576 bytes, too many for a secret' blank=0
	elif ! wrong=$({ : <"$2"; } 2>&1); then
		failed "$1" "$wrong"
		return
	elif [ -z "$(tr -d '\000 \t\n\r\v\f' <"$2" | od -An -tx1 -N 1)" ]; then
		fault='it is blank' blank=1
	else
		blank=0
		secret_fault "$2" "$3" || {
			refused "$1" no-tool "this host has no python3, which judges $3"
			return
		}
	fi
	put secret "$1"
	printf '%s %s %s' "$seen" "$blank" "$fault"
}

secret_fault() { # PATH FORMAT: says what is wrong in $fault; its words never hold the secret
	fault=
	case $2 in
	text) ;;
	hex)
		digits=$(tr -d ' \t\n\r\v\f' <"$1" | tr '\000' '!')
		case $digits in
		*[!0-9a-fA-F]*) fault='it has characters that are no hex digits' ;;
		*) [ $((${#digits} % 2)) -eq 0 ] || fault='it has an odd number of hex digits' ;;
		esac
		;;
	base64)
		base64_fault "$(tr -d ' \t\n\r\v\f' <"$1" | tr '\000' '!')"
		;;
	pem)
		if [ "$(tr -cd '\000' <"$1" | od -An -tx1 -N 1)" ]; then
			fault='it is no PEM: it has a NUL'
			return 0
		fi
		fault=$(tr -d '\r\v\f' <"$1" | pem_fault)
		;;
	*) return 1 ;;
	esac
	return 0
}

base64_fault() { # TEXT without blanks
	text=$1 digits=$1
	while [ "${digits%=}" != "$digits" ]; do digits=${digits%=}; done
	case $digits in
	*[!A-Za-z0-9+/_-]*) fault='it has characters that are not base64' ;;
	*[+/]*[_-]* | *[_-]*[+/]*) fault='it has characters that are not base64' ;;
	esac
	[ -z "$fault" ] || return
	padding=$((${#text} - ${#digits}))
	if [ $((${#digits} % 4)) -eq 1 ] || { [ "$padding" -gt 0 ] && { [ "$padding" -gt 2 ] || [ $((${#text} % 4)) -ne 0 ]; }; }; then
		fault='its length is not one that base64 has: it is cut short, or padded wrongly'
	fi
}

pem_fault() { # says what is wrong with the PEM on stdin; a pipe, for a here-document could be a file
	label='' inside=no body='' blocks=0 headers=no
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line#"${line%%[! 	]*}"}
		line=${line%"${line##*[! 	]}"}
		case $line in
		'-----BEGIN '*-----)
			if [ "$inside" = yes ]; then
				printf 'a PEM block begins within another one'
				return
			fi
			label=${line#-----BEGIN } inside=yes body='' headers=yes
			;;
		'-----END '*-----)
			if [ "$inside" = no ] || [ "${line#-----END }" != "$label" ]; then
				printf 'a PEM block ends that did not begin'
				return
			fi
			base64_fault "$body"
			if [ -z "$body" ] || [ -n "$fault" ]; then
				printf 'a PEM block holds no whole base64'
				return
			fi
			inside=no blocks=$((blocks + 1))
			;;
		*)
			[ "$inside" = yes ] || continue
			case $headers$line in
			yes*:*) continue ;;
			esac
			headers=no body=$body$line
			;;
		esac
	done
	if [ "$inside" = yes ]; then
		printf 'a PEM block does not end'
	elif [ "$blocks" -eq 0 ]; then
		printf 'it is no PEM: no block begins in it'
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
