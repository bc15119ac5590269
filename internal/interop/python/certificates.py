"""Asks for the certificate of each of NAMES, a JSON array, at PORT of this machine; prints "NAME verified by CN, N names",
or "NAME refused CODE" when OpenSSL does not trust it. An empty name is none: no SNI is sent.

TRUST: a PEM file, empty for none
"""
import json
import os
import socket
import ssl

from lib import journey, need, say


def ask(name):
    context = ssl.create_default_context(cafile=os.environ["TRUST"] or None)
    context.check_hostname = name != ""
    with socket.create_connection(("127.0.0.1", int(need("PORT")))) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name or None) as secure:
                leaf = secure.getpeercert()
        except ssl.SSLCertVerificationError as error:
            return "refused %d" % error.verify_code
    common = [value for part in leaf["subject"] for key, value in part if key == "commonName"]
    return "verified by %s, %d names" % (common[0], len(leaf["subjectAltName"]))


def main():
    for name in json.loads(need("NAMES")):
        say("%s %s" % (name, ask(name)))


journey(main)
