// Two identities: the app may use its data, the migrator may change the schema. Neither has a password.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the app\'s identity; also its role in PostgreSQL.')
param appName string

@description('Name of the migrator\'s identity; also its role in PostgreSQL.')
param migratorName string

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: appName
  location: location
  tags: tags
}

resource migrator 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: migratorName
  location: location
  tags: tags
}

@description('Resource id of the app\'s identity.')
output appId string = app.id

@description('Client id of the app\'s identity.')
output appClientId string = app.properties.clientId

@description('Object id of the app\'s identity.')
output appPrincipalId string = app.properties.principalId

@description('Name of the app\'s identity.')
output appName string = app.name

@description('Resource id of the migrator\'s identity.')
output migratorId string = migrator.id

@description('Client id of the migrator\'s identity.')
output migratorClientId string = migrator.properties.clientId

@description('Object id of the migrator\'s identity.')
output migratorPrincipalId string = migrator.properties.principalId

@description('Name of the migrator\'s identity.')
output migratorName string = migrator.name
