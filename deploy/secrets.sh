#!/bin/sh
# Draws what the containers of compose.yaml tell each other, into secrets/ beside this file; what is there stays.
set -eu
folder=$(dirname "$0")/secrets
mkdir -p "$folder"
chmod 700 "$folder"
draw() {
    [ -s "$folder/$1" ] || python3 -c 'import secrets; print(secrets.token_urlsafe(24))' >"$folder/$1"
}
draw token
draw postgres_password
draw s3_password
[ -s "$folder/s3_user" ] || echo segmend >"$folder/s3_user"
echo "postgresql://segmend:$(cat "$folder/postgres_password")@postgres/segmend" >"$folder/database"
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
    "$(cat "$folder/s3_user")" "$(cat "$folder/s3_password")" >"$folder/s3"
chmod 644 "$folder"/* # the accounts in the containers read them; on this machine nobody gets into the folder
echo "The token of the annotator: $(cat "$folder/token")"
