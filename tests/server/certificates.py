"""Certificates for localhost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Certificate(NamedTuple):
    """Files of a certificate, its key, and the same key with a password."""

    chain: Path
    key: Path
    locked: Path


def certificate_of(folder: Path) -> Certificate:
    """Return a new certificate for localhost in a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")]), datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    found = Certificate(folder / "chain.pem", folder / "key.pem", folder / "locked.pem")
    found.chain.write_bytes(made.public_bytes(pem))
    found.key.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    found.locked.write_bytes(key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"password")))
    return found
