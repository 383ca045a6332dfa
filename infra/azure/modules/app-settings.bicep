// Every setting of the app, by name. One group per slice of the app, in its order; a test compares the names with what the app reads. Values are the
// app's own defaults unless a line says why not. Secrets are references into the key vault, which the host resolves as the app's identity.

@description('Settings that replace the ones below.')
param overrides object

@description('Client id of the app\'s identity.')
param appClientId string

@description('Object id of the app\'s identity: its user name in Redis.')
param appPrincipalId string

@description('Name of the app\'s identity: its role in PostgreSQL.')
param appIdentityName string

@description('Host name of PostgreSQL.')
param databaseHost string

@description('Name of the database.')
param databaseName string

@description('Connections of one instance.')
param databasePoolSize int

@description('Host name of Redis.')
param redisHost string

@description('Port of Redis.')
param redisPort int

@description('Account of the Functions host.')
param hostStorageName string

@description('Blob endpoint of packages and artifacts.')
param dataBlobUri string

@description('Where telemetry goes.')
param insightsConnectionString string

@description('URL of the key vault, with a slash at its end.')
param vaultUri string

@description('Networks whose X-Forwarded-For is believed, comma separated.')
param trustedProxies string

@description('URL of Web PubSub; empty without it.')
param webPubSubEndpoint string

@description('Endpoint of the Durable Task Scheduler; empty where orchestrations are kept in the host\'s storage.')
param schedulerEndpoint string

@description('Task hub in the scheduler.')
param taskHubName string

@description('Client id of the GitHub OAuth app; empty: no sign-in.')
param gitHubClientId string

@description('Language model server; empty: none.')
param dspyLmBaseUrl string

@description('Language model.')
param dspyLmModel string

@description('MLflow server to stand in front of; empty: none.')
param mlflowServerUrl string

@description('Whether Hokusai keys are administered over HTTP.')
param enableHokusaiAdmin bool

var secrets = '${vaultUri}secrets/'

// Read by the Functions host and by the Azure libraries, not by the app.
var host = {
  AzureWebJobsStorage__credential: 'managedidentity'
  AZURE_CLIENT_ID: appClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${appClientId};Authorization=AAD'
}

// They replace what host.json says of the Durable backend.
var scheduler = empty(schedulerEndpoint) ? {} : {
  DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${schedulerEndpoint};Authentication=ManagedIdentity;ClientID=${appClientId}'
  AzureFunctionsJobHost__extensions__durableTask__hubName: taskHubName
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
}

var platform = {
  POSTGRES_AUTH: 'entra'
  POSTGRES_HOST: databaseHost
  POSTGRES_PORT: '5432'
  POSTGRES_USER: appIdentityName
  POSTGRES_DB: databaseName
  // The server's certificate is from a public authority, so its name can be checked.
  POSTGRES_SSLMODE: 'verify-full'
  Database__AppRole: appIdentityName
  Database__MigrateAtStart: 'false'
  Database__MaxPoolSize: string(databasePoolSize)
  Durable__KeepFinishedDays: '30'
  REDIS_AUTH: 'entra'
  REDIS_CONNECTION: '${redisHost}:${redisPort},ssl=true,user=${appPrincipalId}'
  // With a service URI the app reaches blobs as the identity that AzureWebJobsStorage__clientId names.
  BLOB_SERVICE_URI: dataBlobUri
  AzureWebJobsStorage__accountName: hostStorageName
  AzureWebJobsStorage__clientId: appClientId
  Blobs__ContainerPrefix: ''
  Blobs__UrlMinutes: '15'
  Http__TrustedProxies: trustedProxies
  // Empty: nothing is exported by OTLP; Application Insights has what the worker tells.
  OTEL_EXPORTER_OTLP_ENDPOINT: ''
  OTEL_SERVICE_NAME: ''
  InternalApiKey: '@Microsoft.KeyVault(SecretUri=${secrets}internal-api-key)'
  RateLimits__KeyPrefix: 'fr:'
  // Empty: the contract's own number.
  RateLimits__AgentxAnonymous: ''
  RateLimits__AgentxUser: ''
  RateLimits__AgentxPublish: ''
  RateLimits__HokusaiDefault: ''
  RateLimits__HokusaiRegister: ''
  RateLimits__HokusaiLineage: ''
  RateLimits__HokusaiImpact: ''
  RateLimits__DeanPerAddress: ''
  RateLimits__DeanConnections: ''
}

var marketplace = {
  Marketplace__WebUrl: 'https://agentx.dev'
  Marketplace__MaxTarballMegabytes: '50'
  Marketplace__TokenDays: '365'
  GitHub__ClientId: gitHubClientId
  GitHub__ClientSecret: empty(gitHubClientId) ? '' : '@Microsoft.KeyVault(SecretUri=${secrets}github-client-secret)'
  GitHub__WebUrl: 'https://github.com'
  GitHub__ApiUrl: 'https://api.github.com'
  GitHub__RedirectOrigins: ''
}

var dataRegistry = {
  Dhg__HeartbeatTimeoutSeconds: '300'
  Dhg__HeartbeatDays: '30'
  // The Functions host forwards no WebSockets.
  Dhg__MaxSockets: '0'
}

var modelRegistry = {
  Hokusai__AdminKey: enableHokusaiAdmin ? '@Microsoft.KeyVault(SecretUri=${secrets}hokusai-admin-key)' : ''
  Mlflow__DeletedRetentionDays: ''
  MLFLOW_SERVER_URL: mlflowServerUrl
  MLFLOW_SERVE_ARTIFACTS: 'true'
  MLFLOW_CB_FAILURE_THRESHOLD: '5'
  MLFLOW_CB_RECOVERY_TIMEOUT: '60'
  MLFLOW_TIMEOUT_SECONDS: '30'
  DSPY_LM_BASE_URL: dspyLmBaseUrl
  DSPY_LM_API_KEY: empty(dspyLmBaseUrl) ? '' : '@Microsoft.KeyVault(SecretUri=${secrets}dspy-lm-api-key)'
  DSPY_LM_MODEL: dspyLmModel
  Dspy__CacheEntries: '10000'
  Dspy__CacheMinutes: '1440'
  Dspy__BatchConcurrency: '8'
  Dspy__ExecutionDays: '30'
  // What the contract's health answers call this deployment.
  ENVIRONMENT: 'production'
}

var indexAgent = {
  IndexAgent__MaxArchiveMegabytes: '256'
  IndexAgent__MaxUnpackedMegabytes: '2048'
  IndexAgent__SegmentMegabytes: '32'
  IndexAgent__FetchMinutes: '10'
  IndexAgent__RegexMilliseconds: '200'
  Outbound__AllowedPrivateNetworks: ''
}

var airflow = {
  AIRFLOW_USERNAME: 'registry'
  AIRFLOW_PASSWORD: '@Microsoft.KeyVault(SecretUri=${secrets}airflow-password)'
  Airflow__DagDirectory: ''
}

var evolution = {
  // The Functions host forwards no WebSockets: Web PubSub has them.
  Evolution__SocketsPerClient: '10'
  Evolution__KeepTrialsDays: '90'
  WebPubSub__Endpoint: webPubSubEndpoint
  WebPubSub__Hub: 'evolution'
}

@description('All settings. No value is a secret: those are references into the key vault.')
output settings object = union(host, scheduler, platform, marketplace, dataRegistry, modelRegistry, indexAgent, airflow, evolution, overrides)
