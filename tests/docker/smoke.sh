#!/usr/bin/env bash
# Runs the image as production would, locked down and beside a real Postgres, and looks at it.
#
#   tests/docker/smoke.sh IMAGE
#
# DOCKER chooses the client, POSTGRES_IMAGE the database. Leaves nothing behind.
set -euo pipefail

image=${1:?usage: $0 IMAGE}
docker=${DOCKER:-docker}
postgres_image=${POSTGRES_IMAGE:-postgres:16}
name=clerk-user-sync-smoke-$$
here=$(dirname "$0")
secret=whsec_$(head -c 32 /dev/urandom | base64)

clean_up() {
    "$docker" rm --force --volumes "$name" "$name-postgres" >/dev/null 2>&1 || true
    "$docker" network rm "$name" >/dev/null 2>&1 || true
}

fail() {
    echo "smoke: $*" >&2
    "$docker" logs "$name" 2>&1 | tail -30 >&2 || true
    exit 1
}

# until SECONDS COMMAND...: whether it succeeded in time
until_true() {
    local give_up=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$give_up" ] || return 1
        sleep 0.2
    done
}

in_image() {
    "$docker" run --rm --interactive --network "$name" --env WEBHOOK_SECRET="$secret" \
        "$image" "$@"
}

client() { in_image python - "$1" <"$here/client.py"; }

query() {
    "$docker" exec "$name-postgres" psql --username postgres --no-align --tuples-only --command "$1"
}

postgres_answers() {
    "$docker" exec "$name-postgres" pg_isready --quiet --host 127.0.0.1 --username postgres
}

healthy() {
    [ "$("$docker" inspect --format '{{.State.Health.Status}}' "$name")" = healthy ]
}

run_service() {
    "$docker" run --network "$name" \
        --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp \
        --env DATABASE_URL="postgresql://postgres:smoke@$name-postgres:5432/postgres" \
        --env CLERK_SECRET_KEY=sk_test_smoke0123456789 \
        --env CLERK_ISSUER=https://smoke.clerk.accounts.dev \
        --env CLERK_JWT_KEY="$public_key" \
        --env CLERK_WEBHOOK_SIGNING_SECRET="$secret" \
        "$@"
}

trap clean_up EXIT
"$docker" network create "$name" >/dev/null
"$docker" run --detach --name "$name-postgres" --network "$name" \
    --env POSTGRES_PASSWORD=smoke "$postgres_image" >/dev/null

size=$("$docker" image inspect --format '{{.Size}}' "$image")
[ "$size" -lt 320000000 ] || fail "the image has $size bytes"
user=$(in_image id -u)
[ "$user" -ne 0 ] || fail "the image runs as root"
public_key=$(client public_key)
for_tests='-name clerk_emulator -o -path */clerk_user_sync/testing -o -path */clerk_user_sync/*pytest_plugin*'
files=$(in_image sh -c "set -f; find / -xdev \( $for_tests \) 2>/dev/null; ls -A /app")
[ -z "$files" ] || fail "the image holds $files"
client components || fail "the list of components is not what is installed"
client entry_points || fail "an entry point names a module that is not there"
in_image clerk-user-sync --version >/dev/null || fail "the command does not run"

until_true 60 postgres_answers || fail "Postgres did not start"
run_service --rm "$image" clerk-user-sync migrate || fail "the migration failed"
run_service --detach --name "$name" --network-alias service --health-interval 1s "$image" >/dev/null

client ready || fail "not ready"
"$docker" exec "$name" clerk-user-sync healthcheck || fail "/healthz does not answer"
until_true 30 healthy || fail "the container did not become healthy"

client deliver || fail "the webhook was not accepted"
row=$(query "SELECT email, synced_by FROM users WHERE clerk_id = 'user_2smoke'")
[ "$row" = "smoke@example.com|webhook" ] || fail "the users table holds '$row'"

"$docker" stop -t 30 "$name" >/dev/null
status=$("$docker" inspect --format '{{.State.ExitCode}}' "$name")
[ "$status" -eq 0 ] || fail "SIGTERM ended it with $status"

echo "smoke: $image is well: $((size / 1000000)) MB, uid $user, ready, webhook stored, stops with 0"
