// PostgreSQL flexible server, reachable from the virtual network only, with Entra tokens only. Its administrators are in role-assignments.bicep.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the server.')
param name string

@description('Name of the app\'s database.')
param databaseName string

@description('Compute size.')
param sku string

@description('Tier of the size.')
param tier string

@description('Storage in GB.')
param storageGB int

@description('ZoneRedundant, SameZone or Disabled.')
param highAvailability string

@description('Days of point-in-time restore.')
param backupDays int

@description('Backups in the paired region, too.')
param geoBackup bool

@description('Major version of PostgreSQL.')
param version string = '17'

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Private DNS zones by short name.')
param dnsZoneIds object

@description('Log Analytics workspace.')
param workspaceId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2024-08-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku, tier: tier }
  properties: {
    createMode: 'Default'
    version: version
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: { storageSizeGB: storageGB, autoGrow: 'Enabled' }
    backup: { backupRetentionDays: backupDays, geoRedundantBackup: geoBackup ? 'Enabled' : 'Disabled' }
    highAvailability: { mode: highAvailability }
    network: { publicNetworkAccess: 'Disabled' }
  }

  resource database 'databases' = {
    name: databaseName
    properties: { charset: 'UTF8', collation: 'en_US.utf8' }
  }
}

// The server refuses two changes at once, so each waits for the one before.
resource extensions 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = {
  parent: server
  name: 'azure.extensions'
  // pg_trgm is needed; vector switches semantic search on where a migration finds it.
  properties: { value: 'PG_TRGM,VECTOR', source: 'user-override' }
  dependsOn: [server::database]
}

resource slowStatements 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2024-08-01' = {
  parent: server
  name: 'log_min_duration_statement'
  // Milliseconds: statements behind a request are ended after 3,000.
  properties: { value: '1000', source: 'user-override' }
  dependsOn: [extensions]
}

module endpoint 'private-endpoint.bicep' = {
  name: 'endpoint-postgres'
  params: {
    location: location
    tags: tags
    name: 'pe-${name}'
    serviceId: server.id
    groupId: 'postgresqlServer'
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds.postgres
  }
  dependsOn: [slowStatements]
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: server
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Resource id of the server.')
output id string = server.id

@description('Name of the server.')
output name string = server.name

@description('Host name that clients use.')
output host string = server.properties.fullyQualifiedDomainName
