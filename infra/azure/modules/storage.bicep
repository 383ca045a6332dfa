// Two accounts, both without shared keys. The host's is private: deployment packages, timer locks, Durable's queues and tables. The data account
// holds packages and artifacts, whose downloads are signed URLs that clients outside follow, so it may be reachable; nothing in it is public.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the host\'s account.')
param hostAccountName string

@description('Name of the data account.')
param dataAccountName string

@description('Redundancy of both.')
param sku string

@description('Whether signed URLs work from outside the virtual network.')
param publicDownloads bool

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Private DNS zones by short name.')
param dnsZoneIds object

@description('Log Analytics workspace.')
param workspaceId string

@description('Days for which a deleted blob can be brought back.')
@minValue(1)
param deletedBlobDays int = 14

var deploymentContainer = 'deployments'

resource host 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: hostAccountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Disabled'
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }

  resource blobs 'blobServices' = {
    name: 'default'

    resource deployments 'containers' = {
      name: deploymentContainer
    }
  }

  resource queues 'queueServices' = {
    name: 'default'
  }

  resource tables 'tableServices' = {
    name: 'default'
  }
}

resource data 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: dataAccountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicDownloads ? 'Enabled' : 'Disabled'
    networkAcls: { defaultAction: publicDownloads ? 'Allow' : 'Deny', bypass: 'None' }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: deletedBlobDays }
      containerDeleteRetentionPolicy: { enabled: true, days: deletedBlobDays }
    }
  }
}

module hostEndpoints 'private-endpoint.bicep' = [for part in ['blob', 'queue', 'table']: {
  name: 'endpoint-host-${part}'
  params: {
    location: location
    tags: tags
    name: 'pe-${hostAccountName}-${part}'
    serviceId: host.id
    groupId: part
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds[part]
  }
}]

module dataEndpoint 'private-endpoint.bicep' = {
  name: 'endpoint-data-blob'
  params: {
    location: location
    tags: tags
    name: 'pe-${dataAccountName}-blob'
    serviceId: data.id
    groupId: 'blob'
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds.blob
  }
}

resource hostLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: host::blobs
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'StorageDelete', enabled: true }]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

resource dataLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: data::blobs
  properties: {
    workspaceId: workspaceId
    // Reads are left out: signed URLs are used once per download, and the app counts those.
    logs: [
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

@description('Name of the host\'s account.')
output hostAccountName string = host.name

@description('Resource id of the host\'s account.')
output hostAccountId string = host.id

@description('Name of the data account.')
output dataAccountName string = data.name

@description('Blob endpoint of the data account.')
output dataBlobUri string = data.properties.primaryEndpoints.blob

@description('Container that deployments are written to.')
output deploymentContainerUri string = '${host.properties.primaryEndpoints.blob}${deploymentContainer}'
