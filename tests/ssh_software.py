"""SSH signatures made in software, byte by byte: a security key that nobody has to touch, and RSA as it was signed in 2014. Needs openssl.

The formats are those of OpenSSH: PROTOCOL.sshsig, PROTOCOL.u2f, RFC 4251 5, RFC 5656 3.1, RFC 8709.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

APPLICATION = b"ssh:"
PRESENT, VERIFIED = 0x01, 0x04
ED25519, ECDSA = "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"


def wire(*parts: bytes) -> bytes:
    """Strings of RFC 4251."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def openssl(*words: str | Path, data: bytes | None = None) -> bytes:
    return subprocess.run(("openssl", *words), input=data, check=True, capture_output=True).stdout


def armoured(key: bytes, signature: bytes, *, namespace: bytes = b"interlock") -> str:
    """The file that `ssh-keygen -Y sign` would write."""
    body = base64.b64encode(b"SSHSIG" + struct.pack(">I", 1) + wire(key, namespace, b"", b"sha512", signature)).decode()
    lines = "\n".join(body[at : at + 70] for at in range(0, len(body), 70))
    return f"-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n"


def to_be_signed(payload: bytes, *, namespace: bytes = b"interlock") -> bytes:
    """What the key signs of a payload."""
    return b"SSHSIG" + wire(namespace, b"", b"sha512", hashlib.sha512(payload).digest())


@dataclass(frozen=True)
class SecurityKey:
    """A security key without its hardware. `private` is a file of openssl's; `blob` its public key as SSH writes it."""

    kind: str
    private: Path
    blob: bytes

    @classmethod
    def make(cls, folder: Path, kind: str) -> Self:
        private = folder / f"{kind.partition('@')[0]}.pem"
        which = ("ED25519",) if kind == ED25519 else ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        openssl("genpkey", "-algorithm", *which, "-out", private)
        public = openssl("pkey", "-in", private, "-pubout", "-outform", "DER")
        parts = (public[-32:],) if kind == ED25519 else (b"nistp256", public[-65:])
        return cls(kind, private, wire(kind.encode(), *parts, APPLICATION))

    @property
    def line(self) -> str:
        """Its public key line."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def sign(self, payload: bytes, *, flags: int = PRESENT, counter: int = 7, application: bytes = APPLICATION) -> str:
        """Signed as the hardware does: the application, the flags and the counter are a part of it."""
        digest = hashlib.sha256
        told = digest(application).digest() + struct.pack(">BI", flags, counter) + digest(to_be_signed(payload)).digest()
        return armoured(self.blob, wire(self.kind.encode(), self._made(told)) + struct.pack(">BI", flags, counter))

    def _made(self, told: bytes) -> bytes:
        file = self.private.with_suffix(".told")
        file.write_bytes(told)
        if self.kind == ED25519:
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", file)
        r, s = _integers(openssl("dgst", "-sha256", "-sign", self.private, file))
        return wire(r, s)


def _integers(der: bytes) -> tuple[bytes, bytes]:
    """The two numbers of an ECDSA signature, as DER writes them: a leading zero where the first bit is set, as in SSH."""
    length = der[3]
    r = der[4 : 4 + length]
    return r, der[6 + length :]


def sha1_of_2014(key: Path, payload: bytes) -> str:
    """An RSA signature with SHA-1 (`ssh-rsa`) of a key that openssl can read, over the payload."""
    kind, blob, _ = key.with_suffix(".pub").read_text().split(None, 2)
    told = key.with_suffix(".told")
    told.write_bytes(to_be_signed(payload))
    made = openssl("dgst", "-sha1", "-sign", key, told)
    return armoured(base64.b64decode(blob), wire(kind.encode(), made))
