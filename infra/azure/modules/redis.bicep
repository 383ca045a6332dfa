// Azure Managed Redis with access keys off: who may come in is said in role-assignments.bicep.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the cache.')
param name string

@description('Size, such as Balanced_B1.')
param sku string

@description('Keep a replica.')
param highAvailability bool

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Private DNS zones by short name.')
param dnsZoneIds object

@description('Log Analytics workspace.')
param workspaceId string

var databasePort = 10000

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku }
  properties: {
    highAvailability: highAvailability ? 'Enabled' : 'Disabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Disabled'
  }

  resource database 'databases' = {
    name: 'default'
    properties: {
      accessKeysAuthentication: 'Disabled'
      clientProtocol: 'Encrypted'
      // One endpoint for any client: the app's scripts keep to one slot anyway.
      clusteringPolicy: 'EnterpriseCluster'
      evictionPolicy: 'VolatileLRU'
      port: databasePort
    }
  }
}

module endpoint 'private-endpoint.bicep' = {
  name: 'endpoint-redis'
  params: {
    location: location
    tags: tags
    name: 'pe-${name}'
    serviceId: redis.id
    groupId: 'redisEnterprise'
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds.redis
  }
  dependsOn: [redis::database]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: redis
  properties: {
    workspaceId: workspaceId
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the cache.')
output id string = redis.id

@description('Name of the cache.')
output name string = redis.name

@description('Host name that clients use.')
output host string = redis.properties.hostName

@description('Port that clients use.')
output port int = databasePort
