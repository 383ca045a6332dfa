#!/usr/bin/env bash
# Before provisioning with azd: makes the secrets of a new environment. They lie in azd's environment (.azure/, not in git) until forget-secrets.sh.
set -euo pipefail

[ "${REGISTRY_SECRETS_IN_VAULT:-}" != true ] || exit 0
for name in REGISTRY_INTERNAL_API_KEY REGISTRY_AIRFLOW_PASSWORD REGISTRY_HOKUSAI_ADMIN_KEY; do
  if [ -z "${!name:-}" ]; then
    azd env set "$name" "$(openssl rand -hex 32)"
    echo "$name: made"
  fi
done
