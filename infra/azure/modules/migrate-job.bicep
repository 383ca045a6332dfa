// Changes the schema from inside the virtual network, as an identity of its own: the app's may not. A release pushes an image of the same build to
// the registry, points the job to it and runs it before the app is replaced.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the container registry.')
param registryName string

@description('Name of the Container Apps environment.')
param environmentName string

@description('Name of the job.')
param jobName string

@description('Resource id of the migrator\'s identity.')
param identityId string

@description('Client id of the migrator\'s identity.')
param identityClientId string

@description('Name of the migrator\'s identity: its role in PostgreSQL.')
param identityName string

@description('Subnet that the job runs in.')
param subnetId string

@description('The app\'s settings: the job reads the same ones.')
param settings object

@description('Image of the first provisioning; it does nothing. Releases replace it.')
param image string = 'mcr.microsoft.com/k8se/quickstart-jobs:latest'

@description('Log Analytics workspace.')
param workspaceId string

@description('Seconds after which a migration is ended.')
param timeoutSeconds int = 3600

var ownSettings = union(settings, { POSTGRES_USER: identityName, AZURE_CLIENT_ID: identityClientId })

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  name: registryName
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: { adminUserEnabled: false }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: environmentName
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: { destination: 'azure-monitor' }
    vnetConfiguration: { infrastructureSubnetId: subnetId, internal: true }
    workloadProfiles: [{ name: 'Consumption', workloadProfileType: 'Consumption' }]
  }
}

resource job 'Microsoft.App/jobs@2024-03-01' = {
  name: jobName
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Manual'
      manualTriggerConfig: { parallelism: 1, replicaCompletionCount: 1 }
      // A migration that failed is looked at, not repeated.
      replicaRetryLimit: 0
      replicaTimeout: timeoutSeconds
      registries: [{ server: registry.properties.loginServer, identity: identityId }]
    }
    template: {
      containers: [
        {
          name: 'migrate'
          image: image
          args: ['migrate']
          env: map(items(ownSettings), setting => { name: setting.key, value: setting.value })
          resources: { cpu: json('0.5'), memory: '1Gi' }
        }
      ]
    }
  }
}

resource environmentLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: environment
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

resource registryLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: registry
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

@description('Name of the container registry.')
output registryName string = registry.name

@description('Host name of the container registry.')
output loginServer string = registry.properties.loginServer

@description('Name of the job.')
output jobName string = job.name
