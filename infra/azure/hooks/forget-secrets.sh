#!/usr/bin/env bash
# After provisioning with azd: the vault has the secrets now, so azd's environment need not keep them.
set -euo pipefail

for name in REGISTRY_INTERNAL_API_KEY REGISTRY_AIRFLOW_PASSWORD REGISTRY_HOKUSAI_ADMIN_KEY REGISTRY_GITHUB_CLIENT_SECRET REGISTRY_DSPY_LM_API_KEY; do
  [ -z "${!name:-}" ] || azd env set "$name" ""
done
azd env set REGISTRY_SECRETS_IN_VAULT true
