// The managed Durable backend, for loads that a storage account cannot carry.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the scheduler.')
param name string

@description('Name of its task hub.')
param taskHubName string

@description('Consumption or Dedicated.')
param sku string

@description('Capacity units of Dedicated.')
param capacity int

@description('Addresses that may reach it.')
param ipAllowlist array

@description('Days for which finished orchestrations are kept.')
param retentionDays int = 30

resource scheduler 'Microsoft.DurableTask/schedulers@2025-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: sku == 'Dedicated' ? { name: sku, capacity: capacity } : { name: sku }
    ipAllowlist: ipAllowlist
  }

  resource taskHub 'taskHubs' = {
    name: taskHubName
  }

  resource retention 'retentionPolicies' = {
    name: 'default'
    properties: { retentionPolicies: [{ retentionPeriodInDays: retentionDays }] }
  }
}

@description('Name of the scheduler.')
output name string = scheduler.name

@description('Where the app finds it.')
output endpoint string = scheduler.properties.endpoint
