// The secrets that no identity replaces. A secret is written when a value is given and left alone otherwise; app settings refer to them by name.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the vault.')
param name string

@description('Addresses or ranges from which operators may read.')
param operatorIpRanges array

@description('Subnet of the private endpoints.')
param endpointSubnetId string

@description('Private DNS zones by short name.')
param dnsZoneIds object

@description('Log Analytics workspace.')
param workspaceId string

@description('X-API-Key of DHG, IndexAgent and Evolution.')
@secure()
param internalApiKey string

@description('Password of the Airflow API.')
@secure()
param airflowPassword string

@description('Key that administers Hokusai API keys.')
@secure()
param hokusaiAdminKey string

@description('Secret of the GitHub OAuth app.')
@secure()
param gitHubClientSecret string

@description('API key of the language model server.')
@secure()
param dspyLmApiKey string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    publicNetworkAccess: empty(operatorIpRanges) ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'None'
      ipRules: [for range in operatorIpRanges: { value: range }]
    }
  }
}

resource internalApiKeySecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(internalApiKey)) {
  parent: vault
  name: 'internal-api-key'
  properties: { value: internalApiKey }
}

resource airflowPasswordSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(airflowPassword)) {
  parent: vault
  name: 'airflow-password'
  properties: { value: airflowPassword }
}

resource hokusaiAdminKeySecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(hokusaiAdminKey)) {
  parent: vault
  name: 'hokusai-admin-key'
  properties: { value: hokusaiAdminKey }
}

resource gitHubClientSecretSecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(gitHubClientSecret)) {
  parent: vault
  name: 'github-client-secret'
  properties: { value: gitHubClientSecret }
}

resource dspyLmApiKeySecret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(dspyLmApiKey)) {
  parent: vault
  name: 'dspy-lm-api-key'
  properties: { value: dspyLmApiKey }
}

module endpoint 'private-endpoint.bicep' = {
  name: 'endpoint-vault'
  params: {
    location: location
    tags: tags
    name: 'pe-${name}'
    serviceId: vault.id
    groupId: 'vault'
    subnetId: endpointSubnetId
    dnsZoneId: dnsZoneIds.vault
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    // Who read which secret, and when.
    logs: [{ categoryGroup: 'audit', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Name of the vault.')
output name string = vault.name

@description('URL of the vault, with a slash at its end.')
output uri string = vault.properties.vaultUri
