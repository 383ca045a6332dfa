// Web PubSub: browsers hold WebSockets here, the app publishes over REST from the virtual network.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the service.')
param name string

@description('Units of 1,000 connections.')
param units int

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Private DNS zones by short name.')
param dnsZoneIds object

@description('Log Analytics workspace.')
param workspaceId string

resource service 'Microsoft.SignalRService/webPubSub@2024-03-01' = {
  name: name
  location: location
  tags: tags
  // Private endpoints need the Standard tier.
  sku: { name: 'Standard_S1', tier: 'Standard', capacity: units }
  properties: {
    disableLocalAuth: true
    publicNetworkAccess: 'Enabled'
    networkACLs: {
      defaultAction: 'Deny'
      publicNetwork: { allow: ['ClientConnection'] }
      privateEndpoints: []
    }
  }

  resource hub 'hubs' = {
    name: 'evolution'
    properties: { anonymousConnectPolicy: 'deny' }
  }
}

module endpoint 'private-endpoint.bicep' = {
  name: 'endpoint-web-pubsub'
  params: {
    location: location
    tags: tags
    name: 'pe-${name}'
    serviceId: service.id
    groupId: 'webpubsub'
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds.webPubSub
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: service
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Name of the service.')
output name string = service.name

@description('URL that the app publishes to.')
output endpoint string = 'https://${service.properties.hostName}'
