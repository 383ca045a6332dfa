// A private address for one service in the virtual network, and its name in the private DNS zone.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the endpoint.')
param name string

@description('Resource id of the service.')
param serviceId string

@description('Part of the service, such as blob, vault or postgresqlServer.')
param groupId string

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone that gets the name.')
param dnsZoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: serviceId
          groupIds: [groupId]
        }
      }
    ]
  }

  resource dns 'privateDnsZoneGroups' = {
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [{ name: groupId, properties: { privateDnsZoneId: dnsZoneId } }]
    }
  }
}
