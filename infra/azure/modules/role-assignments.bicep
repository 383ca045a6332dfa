// Who may do what, all of it: nothing else in this folder grants anything. Every assignment has the narrowest scope that works and says why.

@description('Object id of the app\'s identity.')
param appPrincipalId string

@description('Object id of the migrator\'s identity.')
param migratorPrincipalId string

@description('Name of the migrator\'s identity.')
param migratorName string

@description('Object id of the deploying principal; empty: none.')
param deployerPrincipalId string

@description('User, Group or ServicePrincipal.')
param deployerPrincipalType string

@description('Account of the Functions host.')
param hostStorageName string

@description('Account of packages and artifacts.')
param dataStorageName string

@description('Key vault.')
param keyVaultName string

@description('Application Insights component.')
param insightsName string

@description('PostgreSQL server.')
param databaseServerName string

@description('Redis cache.')
param redisName string

@description('Container registry of the migration image.')
param registryName string

@description('Web PubSub; empty: none.')
param webPubSubName string

@description('Durable Task Scheduler; empty: none.')
param schedulerName string

// Ids of built-in roles are the same everywhere.
var role = {
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  webPubSubServiceOwner: '12cf5a90-567b-43ae-8102-96cf46c7d9b4'
  durableTaskDataContributor: '0ad04412-c4d5-4796-b79c-f76d14c8d402'
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  acrPush: '8311e382-0749-4cb8-b61a-304f252e45ec'
}

resource hostStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: hostStorageName
}

resource dataStorage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: dataStorageName
}

resource keyVault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: keyVaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' existing = {
  name: databaseServerName
}

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' existing = {
  name: redisName

  resource database 'databases' existing = {
    name: 'default'
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource webPubSub 'Microsoft.SignalRService/webPubSub@2024-03-01' existing = if (!empty(webPubSubName)) {
  name: webPubSubName
}

resource scheduler 'Microsoft.DurableTask/schedulers@2025-11-01' existing = if (!empty(schedulerName)) {
  name: schedulerName
}

resource appOnHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hostStorage.id, appPrincipalId, role.storageBlobDataOwner)
  scope: hostStorage
  properties: {
    description: 'The Functions host reads its deployment package, holds timer locks as blob leases and spills large Durable messages into blobs.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataOwner)
  }
}

resource appOnHostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hostStorage.id, appPrincipalId, role.storageQueueDataContributor)
  scope: hostStorage
  properties: {
    description: 'Durable Functions creates its control and work-item queues and sends through them.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageQueueDataContributor)
  }
}

resource appOnHostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hostStorage.id, appPrincipalId, role.storageTableDataContributor)
  scope: hostStorage
  properties: {
    description: 'Durable Functions keeps the history and the state of orchestrations in tables.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageTableDataContributor)
  }
}

resource appOnDataBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(dataStorage.id, appPrincipalId, role.storageBlobDataContributor)
  scope: dataStorage
  properties: {
    description: 'The app stores packages and artifacts, creates their containers and asks for the user delegation key that signs download URLs.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.storageBlobDataContributor)
  }
}

resource appOnSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(keyVault.id, appPrincipalId, role.keyVaultSecretsUser)
  scope: keyVault
  properties: {
    description: 'The host resolves the key vault references among the app settings.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.keyVaultSecretsUser)
  }
}

resource appOnInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, role.monitoringMetricsPublisher)
  scope: insights
  properties: {
    description: 'Telemetry is sent with a token, because local authentication is off.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.monitoringMetricsPublisher)
  }
}

resource appOnWebPubSub 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(webPubSubName)) {
  name: guid(resourceGroup().id, webPubSubName, appPrincipalId, role.webPubSubServiceOwner)
  scope: webPubSub
  properties: {
    description: 'The app publishes the live updates of trials and signs the tokens with which browsers connect.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.webPubSubServiceOwner)
  }
}

resource appOnScheduler 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(schedulerName)) {
  name: guid(resourceGroup().id, schedulerName, appPrincipalId, role.durableTaskDataContributor)
  scope: scheduler
  properties: {
    description: 'The app starts and works off orchestrations in the scheduler\'s task hub.'
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.durableTaskDataContributor)
  }
}

resource migratorOnRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, migratorPrincipalId, role.acrPull)
  scope: registry
  properties: {
    description: 'The migration job pulls its image.'
    principalId: migratorPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.acrPull)
  }
}

resource deployerOnRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerPrincipalId)) {
  name: guid(registry.id, deployerPrincipalId, role.acrPush)
  scope: registry
  properties: {
    description: 'A release pushes the migration image.'
    principalId: deployerPrincipalId
    principalType: deployerPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role.acrPush)
  }
}

// Not Azure roles, but grants all the same.

// The app counts rate limits; Redis knows one policy, which allows all commands.
resource appOnRedis 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = {
  parent: redis::database
  name: 'app'
  properties: {
    accessPolicyName: 'default'
    user: { objectId: appPrincipalId }
  }
}

// The migrator changes the schema and makes the app's role, which may read and write rows only.
resource migratorOnDatabase 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2024-08-01' = {
  parent: database
  name: migratorPrincipalId
  properties: {
    principalName: migratorName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
}
