using 'main.bicep'

// Everything else has a default in main.bicep. Values come from the environment: azd fills it from `azd env`, the workflow from the repository's
// variables. Secrets are given at the first deployment and to rotate; empty leaves what the vault has.

param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param deployerPrincipalId = readEnvironmentVariable('AZURE_PRINCIPAL_ID', '')
param deployerPrincipalType = readEnvironmentVariable('AZURE_PRINCIPAL_TYPE', 'User')
param alertEmails = filter(split(readEnvironmentVariable('REGISTRY_ALERT_EMAILS', ''), ','), email => !empty(email))
param operatorIpRanges = filter(split(readEnvironmentVariable('REGISTRY_OPERATOR_IPS', ''), ','), range => !empty(range))

param durableBackend = readEnvironmentVariable('REGISTRY_DURABLE_BACKEND', 'AzureStorage')
param enableFrontDoor = bool(readEnvironmentVariable('REGISTRY_FRONT_DOOR', 'false'))

param gitHubClientId = readEnvironmentVariable('REGISTRY_GITHUB_CLIENT_ID', '')
param dspyLmBaseUrl = readEnvironmentVariable('REGISTRY_DSPY_LM_BASE_URL', '')
param dspyLmModel = readEnvironmentVariable('REGISTRY_DSPY_LM_MODEL', '')
param mlflowServerUrl = readEnvironmentVariable('REGISTRY_MLFLOW_SERVER_URL', '')

param internalApiKey = readEnvironmentVariable('REGISTRY_INTERNAL_API_KEY', '')
param airflowPassword = readEnvironmentVariable('REGISTRY_AIRFLOW_PASSWORD', '')
param hokusaiAdminKey = readEnvironmentVariable('REGISTRY_HOKUSAI_ADMIN_KEY', '')
param gitHubClientSecret = readEnvironmentVariable('REGISTRY_GITHUB_CLIENT_SECRET', '')
param dspyLmApiKey = readEnvironmentVariable('REGISTRY_DSPY_LM_API_KEY', '')
