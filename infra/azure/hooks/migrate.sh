#!/usr/bin/env bash
# Migrates the database before the app is replaced: pushes an image of this checkout's build and runs it as a job inside the virtual network.
# Needs the outputs of the deployment: AZURE_RESOURCE_GROUP, REGISTRY_CONTAINER_REGISTRY, REGISTRY_MIGRATE_JOB; and `az` signed in.
set -euo pipefail
cd "$(dirname "$0")/../../.."

: "${AZURE_RESOURCE_GROUP:?is not set: provision first}" "${REGISTRY_CONTAINER_REGISTRY:?is not set: provision first}" "${REGISTRY_MIGRATE_JOB:?is not set: provision first}"
# azd builds what it deploys without a way to pass properties; MSBuild takes this one from the environment.
[ "${FunctionsRuntime:-}" = Azure ] || { echo "Set FunctionsRuntime=Azure, or the local runtime would be deployed: FunctionsRuntime=Azure azd up" >&2; exit 1; }

tag=${REGISTRY_IMAGE_TAG:-$(date -u +%Y%m%d%H%M%S)}
image=$REGISTRY_CONTAINER_REGISTRY/registry-migrate:$tag

# .NET pushes the image itself; no container engine is needed. The name belongs to every token of an Azure registry.
token=$(az acr login --name "${REGISTRY_CONTAINER_REGISTRY%%.*}" --expose-token --query accessToken --output tsv)
DOTNET_CONTAINER_REGISTRY_UNAME=00000000-0000-0000-0000-000000000000 DOTNET_CONTAINER_REGISTRY_PWORD=$token \
  dotnet publish functions -c Release --os linux --arch x64 -t:PublishContainer -p:PublishReadyToRun=false \
  -p:ContainerRegistry="$REGISTRY_CONTAINER_REGISTRY" -p:ContainerRepository=registry-migrate -p:ContainerImageTag="$tag"

az containerapp job update --resource-group "$AZURE_RESOURCE_GROUP" --name "$REGISTRY_MIGRATE_JOB" --image "$image" --output none
execution=$(az containerapp job start --resource-group "$AZURE_RESOURCE_GROUP" --name "$REGISTRY_MIGRATE_JOB" --query name --output tsv)
echo "Migrating: $execution"
for ((i = 0; i < 720; i++)); do
  status=$(az containerapp job execution show --resource-group "$AZURE_RESOURCE_GROUP" --name "$REGISTRY_MIGRATE_JOB" \
    --job-execution-name "$execution" --query properties.status --output tsv)
  case $status in
    Succeeded) echo "Migrated"; exit 0 ;;
    Failed | Stopped | Degraded) echo "The migration did not succeed ($status); the app was not replaced. Its log: ContainerAppConsoleLogs of $execution" >&2; exit 1 ;;
  esac
  sleep 5
done
echo "The migration still runs after an hour; the app was not replaced." >&2
exit 1
