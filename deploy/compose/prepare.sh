#!/usr/bin/env bash
# Makes what compose.yaml keeps private, unless it is there: the secret of tokens, and a
# certificate for localhost that signs itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
umask 077
mkdir -p private
cd private
if [[ ! -s secret ]]; then
  openssl rand -base64 48 >secret
  # The file is mounted as it is, and the server is another user than that of this machine.
  chmod 0644 secret
fi
if [[ ! -s parley.pem ]]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout parley.key -out parley.crt 2>/dev/null
  cat parley.crt parley.key >parley.pem
fi
