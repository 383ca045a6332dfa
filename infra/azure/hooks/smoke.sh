#!/usr/bin/env bash
# After a deployment: is the service there, does it reach what it needs, and is it closed where it should be? Needs REGISTRY_URL.
set -uo pipefail

url=${REGISTRY_URL:?is not set: provision first}
url=${url%/}
body=$(mktemp)
trap 'rm -f "$body"' EXIT

status() { curl --silent --max-time 20 --request "${2:-GET}" --output "$body" --write-out '%{http_code}' "$url$1"; }

# Instances of the new build take a while to come.
for ((i = 0; i < ${REGISTRY_SMOKE_TRIES:-60}; i++)); do
  [ "$(status /health)" = 200 ] && grep -q '^{"status":"healthy"' "$body" && break
  sleep 5
done
failed=0
check() { # what, path, statuses, text that the body must hold, method
  local got
  got=$(status "$2" "${5:-GET}")
  if [[ " $3 " == *" $got "* ]] && { [ -z "${4:-}" ] || grep -q -- "$4" "$body"; }; then
    echo "ok      $1"
  else
    echo "FAILED  $1: $url$2 answered $got: $(head -c 300 "$body")" >&2
    failed=1
  fi
}
check "health: every dependency" /health 200 '^{"status":"healthy"'
check "marketplace lists agents" "/agentx/api/v1/agents?limit=1" 200 '"agents"'
check "marketplace refuses strangers" /agentx/api/v1/auth/token 401 '"error"' DELETE
check "unknown paths are answered" /no/such/path 404 '"request_id"'
# Closed without its secrets. 404: a build without that contract.
check "airflow asks for a password" /airflow/api/v1/dags "401 404"
check "indexagent asks for its key" /indexagent/api/v1/agents "401 404"
exit $failed
