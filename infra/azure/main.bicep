// The whole system in one resource group. README.md beside this file says how to deploy it; modules/ has one file per service.
targetScope = 'subscription'

// ---- what and where -------------------------------------------------------------------------------------------------------------------

@description('Name of this environment, such as registry-prod; part of every resource name.')
@minLength(3)
@maxLength(24)
param environmentName string

@description('Azure region of everything that is not global. It must offer Flex Consumption and Azure Managed Redis.')
param location string

@description('Object id of the user or service principal that deploys: may push the migration image. Empty: nobody is given that role.')
param deployerPrincipalId string = ''

@description('Kind of the deploying principal: User, Group or ServicePrincipal.')
param deployerPrincipalType string = 'ServicePrincipal'

@description('IPv4 addresses or CIDR ranges from which operators may read the key vault. Empty: only the virtual network reaches it.')
param operatorIpRanges array = []

@description('E-mail addresses that alerts go to. Empty: alerts fire and are visible, nobody is notified.')
param alertEmails array = []

// ---- function app ---------------------------------------------------------------------------------------------------------------------

@description('Instances that always run for HTTP functions; two survive the loss of one without a cold start.')
@minValue(0)
param httpAlwaysReady int = 2

@description('Instances that always run for orchestrations and activities.')
@minValue(0)
param durableAlwaysReady int = 1

@description('Most instances that each scale group may have: HTTP and Durable functions scale apart, a timer apart from both.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Memory of an instance in MB: 512, 2048 or 4096. CPU grows with it.')
param instanceMemoryMB int = 2048

@description('HTTP requests that one instance takes at once before another is added.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 64

@description('How instances are replaced at a deployment: RollingUpdate (drained in batches; in public preview) or Recreate (a short gap, orchestrators never mix versions).')
param siteUpdateStrategy string = 'Recreate'

// ---- durable backend ------------------------------------------------------------------------------------------------------------------

@description('Where orchestrations are kept: AzureStorage, or DurableTaskScheduler for high scale (the app must then be built with -p:DurableBackend=Scheduler).')
param durableBackend string = 'AzureStorage'

@description('Pricing of the Durable Task Scheduler: Consumption or Dedicated.')
param durableSchedulerSku string = 'Dedicated'

@description('Capacity units of a Dedicated scheduler; three make it zone redundant.')
@minValue(1)
param durableSchedulerCapacity int = 1

@description('Addresses that may reach the scheduler, which still asks everybody for an Entra token. An empty list would refuse all.')
param durableSchedulerIpAllowlist array = ['0.0.0.0/0']

// ---- PostgreSQL -----------------------------------------------------------------------------------------------------------------------

@description('Compute size of PostgreSQL, such as Standard_D2ds_v5.')
param databaseSku string = 'Standard_D2ds_v5'

@description('Tier that the size belongs to: Burstable, GeneralPurpose or MemoryOptimized.')
param databaseTier string = 'GeneralPurpose'

@description('Storage of PostgreSQL in GB; it grows by itself and never shrinks.')
@minValue(32)
param databaseStorageGB int = 128

@description('ZoneRedundant, SameZone or Disabled: whether a standby server takes over.')
param databaseHighAvailability string = 'ZoneRedundant'

@description('Days for which PostgreSQL can be restored to any moment.')
@minValue(7)
@maxValue(35)
param databaseBackupDays int = 14

@description('Keep backups in the paired region, too. Cannot be changed later.')
param databaseGeoBackup bool = false

@description('Connections of one instance of the app. Instances times this must stay under the server\'s max_connections.')
@minValue(4)
param databasePoolSize int = 16

// ---- Redis, blobs, Web PubSub ----------------------------------------------------------------------------------------------------------

@description('Size of Azure Managed Redis, such as Balanced_B0 (0.5 GB) or Balanced_B5 (6 GB).')
param redisSku string = 'Balanced_B1'

@description('Keep a replica of Redis: without one, maintenance loses the counted limits for a moment.')
param redisHighAvailability bool = true

@description('Redundancy of blobs and of the host\'s storage: Standard_ZRS, Standard_GZRS, Standard_LRS ...')
param storageSku string = 'Standard_ZRS'

@description('Whether package downloads (short-lived, read-only signed URLs) work from outside the virtual network.')
param publicDownloads bool = true

@description('Create Web PubSub for live updates of evolution trials over WebSocket. Without it clients use server-sent events.')
param enableWebPubSub bool = true

@description('Units of Web PubSub (1,000 connections each).')
@minValue(1)
param webPubSubUnits int = 1

// ---- network and front door ------------------------------------------------------------------------------------------------------------

@description('Address space of the virtual network; three subnets of it are used.')
param addressPrefix string = '10.90.0.0/16'

@description('Put Azure Front Door before the app and close the app to everybody else.')
param enableFrontDoor bool = false

@description('With Front Door: host name per contract, such as { agentx: \'agents.example.com\' }. Known keys: agentx, dhg, hokusai, indexagent, airflow, evolution.')
param contractHostNames object = {}

@description('Networks, comma separated, whose X-Forwarded-For the app believes, beside Front Door\'s.')
param trustedProxies string = ''

// ---- settings of the app ---------------------------------------------------------------------------------------------------------------

@description('Settings of the app that differ from the defaults in modules/app-settings.bicep, by their full name, such as { RateLimits__AgentxPublish: \'20/1h\' }. Never secrets.')
param settingOverrides object = {}

@description('Client id of the GitHub OAuth app for the marketplace. Empty: nobody can sign in to publish.')
param gitHubClientId string = ''

@description('Base URL of an OpenAI-compatible server for DSPy programs. Empty: executing a program answers 503.')
param dspyLmBaseUrl string = ''

@description('Model that DSPy programs use.')
param dspyLmModel string = ''

@description('URL of an MLflow server to stand in front of. Empty: the app is the MLflow server.')
param mlflowServerUrl string = ''

@description('Whether Hokusai API keys may be administered over HTTP with the secret hokusaiAdminKey.')
param enableHokusaiAdmin bool = true

// ---- secrets: given at the first deployment and to rotate; empty leaves what the vault has -----------------------------------------------

@description('Key that callers of DHG, IndexAgent and Evolution send in X-API-Key. Empty: unchanged.')
@secure()
param internalApiKey string = ''

@description('Password of the Airflow API\'s user. Empty: unchanged.')
@secure()
param airflowPassword string = ''

@description('Key that administers Hokusai API keys. Empty: unchanged.')
@secure()
param hokusaiAdminKey string = ''

@description('Secret of the GitHub OAuth app. Empty: unchanged.')
@secure()
param gitHubClientSecret string = ''

@description('API key of the language model server. Empty: unchanged.')
@secure()
param dspyLmApiKey string = ''

// ---- names -----------------------------------------------------------------------------------------------------------------------------

var token = uniqueString(subscription().id, environmentName, location)
var tags = { 'azd-env-name': environmentName }
var useScheduler = durableBackend == 'DurableTaskScheduler'
var databaseName = 'registry'
var taskHubName = 'FunctionsRegistry'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: group
  params: {
    location: location
    tags: tags
    appName: 'id-app-${token}'
    migratorName: 'id-migrator-${token}'
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: 'log-${token}'
    insightsName: 'appi-${token}'
  }
}

module network 'modules/network.bicep' = {
  name: 'network'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'vnet-${token}'
    addressPrefix: addressPrefix
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    location: location
    tags: tags
    hostAccountName: 'sthost${token}'
    dataAccountName: 'stdata${token}'
    sku: storageSku
    publicDownloads: publicDownloads
    endpointSubnetId: network.outputs.endpointSubnetId
    dnsZoneIds: network.outputs.dnsZoneIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module database 'modules/database.bicep' = {
  name: 'database'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'psql-${token}'
    databaseName: databaseName
    sku: databaseSku
    tier: databaseTier
    storageGB: databaseStorageGB
    highAvailability: databaseHighAvailability
    backupDays: databaseBackupDays
    geoBackup: databaseGeoBackup
    endpointSubnetId: network.outputs.endpointSubnetId
    dnsZoneIds: network.outputs.dnsZoneIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module redis 'modules/redis.bicep' = {
  name: 'redis'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'redis-${token}'
    sku: redisSku
    highAvailability: redisHighAvailability
    endpointSubnetId: network.outputs.endpointSubnetId
    dnsZoneIds: network.outputs.dnsZoneIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module webPubSub 'modules/web-pubsub.bicep' = if (enableWebPubSub) {
  name: 'web-pubsub'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'wps-${token}'
    units: webPubSubUnits
    endpointSubnetId: network.outputs.endpointSubnetId
    dnsZoneIds: network.outputs.dnsZoneIds
    workspaceId: monitoring.outputs.workspaceId
  }
}

module keyVault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'kv-${token}'
    operatorIpRanges: operatorIpRanges
    endpointSubnetId: network.outputs.endpointSubnetId
    dnsZoneIds: network.outputs.dnsZoneIds
    workspaceId: monitoring.outputs.workspaceId
    internalApiKey: internalApiKey
    airflowPassword: airflowPassword
    hokusaiAdminKey: hokusaiAdminKey
    gitHubClientSecret: gitHubClientSecret
    dspyLmApiKey: dspyLmApiKey
  }
}

module durableScheduler 'modules/durable-scheduler.bicep' = if (useScheduler) {
  name: 'durable-scheduler'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'dts-${token}'
    taskHubName: taskHubName
    sku: durableSchedulerSku
    capacity: durableSchedulerCapacity
    ipAllowlist: durableSchedulerIpAllowlist
  }
}

module settings 'modules/app-settings.bicep' = {
  name: 'app-settings'
  scope: group
  params: {
    overrides: settingOverrides
    appClientId: identities.outputs.appClientId
    appPrincipalId: identities.outputs.appPrincipalId
    appIdentityName: identities.outputs.appName
    databaseHost: database.outputs.host
    databaseName: databaseName
    databasePoolSize: databasePoolSize
    redisHost: redis.outputs.host
    redisPort: redis.outputs.port
    hostStorageName: storage.outputs.hostAccountName
    dataBlobUri: storage.outputs.dataBlobUri
    insightsConnectionString: monitoring.outputs.insightsConnectionString
    vaultUri: keyVault.outputs.uri
    trustedProxies: join(filter([enableFrontDoor ? '147.243.0.0/16,2a01:111:2050::/44' : '', trustedProxies], one => !empty(one)), ',')
    webPubSubEndpoint: enableWebPubSub ? webPubSub!.outputs.endpoint : ''
    schedulerEndpoint: useScheduler ? durableScheduler!.outputs.endpoint : ''
    taskHubName: taskHubName
    gitHubClientId: gitHubClientId
    dspyLmBaseUrl: dspyLmBaseUrl
    dspyLmModel: dspyLmModel
    mlflowServerUrl: mlflowServerUrl
    enableHokusaiAdmin: enableHokusaiAdmin
  }
}

module roles 'modules/role-assignments.bicep' = {
  name: 'role-assignments'
  scope: group
  params: {
    appPrincipalId: identities.outputs.appPrincipalId
    migratorPrincipalId: identities.outputs.migratorPrincipalId
    migratorName: identities.outputs.migratorName
    deployerPrincipalId: deployerPrincipalId
    deployerPrincipalType: deployerPrincipalType
    hostStorageName: storage.outputs.hostAccountName
    dataStorageName: storage.outputs.dataAccountName
    keyVaultName: keyVault.outputs.name
    insightsName: monitoring.outputs.insightsName
    databaseServerName: database.outputs.name
    redisName: redis.outputs.name
    registryName: migrateJob.outputs.registryName
    webPubSubName: enableWebPubSub ? webPubSub!.outputs.name : ''
    schedulerName: useScheduler ? durableScheduler!.outputs.name : ''
  }
}

module functionApp 'modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  // The host reads its package and its settings' secrets as the app's identity from the first start on.
  dependsOn: [roles]
  params: {
    location: location
    tags: union(tags, { 'azd-service-name': 'registry' })
    name: 'func-${environmentName}-${token}'
    identityId: identities.outputs.appId
    subnetId: network.outputs.appSubnetId
    deploymentContainerUri: storage.outputs.deploymentContainerUri
    settings: settings.outputs.settings
    httpAlwaysReady: httpAlwaysReady
    durableAlwaysReady: durableAlwaysReady
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    httpConcurrency: httpConcurrency
    siteUpdateStrategy: siteUpdateStrategy
    frontDoorId: enableFrontDoor ? frontDoor!.outputs.frontDoorId : ''
    workspaceId: monitoring.outputs.workspaceId
  }
}

module migrateJob 'modules/migrate-job.bicep' = {
  name: 'migrate-job'
  scope: group
  params: {
    location: location
    tags: tags
    registryName: 'cr${token}'
    environmentName: 'cae-${token}'
    jobName: 'migrate-${token}'
    identityId: identities.outputs.migratorId
    identityClientId: identities.outputs.migratorClientId
    identityName: identities.outputs.migratorName
    subnetId: network.outputs.jobSubnetId
    settings: settings.outputs.settings
    workspaceId: monitoring.outputs.workspaceId
  }
}

module frontDoor 'modules/front-door.bicep' = if (enableFrontDoor) {
  name: 'front-door'
  scope: group
  params: {
    tags: tags
    name: 'afd-${token}'
    appHostName: 'func-${environmentName}-${token}.azurewebsites.net'
    contractHostNames: contractHostNames
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    databaseId: database.outputs.id
    redisId: redis.outputs.id
    hostStorageId: storage.outputs.hostAccountId
    watchQueues: !useScheduler
    emails: alertEmails
  }
}

@description('Resource group that holds everything.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Name of the function app.')
output REGISTRY_FUNCTION_APP string = functionApp.outputs.name

@description('Base URL of the service.')
output REGISTRY_URL string = enableFrontDoor ? 'https://${frontDoor!.outputs.hostName}' : 'https://${functionApp.outputs.hostName}'

@description('Registry that the migration image is pushed to.')
output REGISTRY_CONTAINER_REGISTRY string = migrateJob.outputs.loginServer

@description('Job that migrates the database.')
output REGISTRY_MIGRATE_JOB string = migrateJob.outputs.jobName

@description('Vault that holds the secrets.')
output REGISTRY_KEY_VAULT string = keyVault.outputs.name
