// Front Door in front of the app: TLS and caching of nothing by itself, one host name for all contracts, and one more per contract on request, whose
// paths get the contract's prefix, so that a client that knows no base path works.

@description('Tags of every resource.')
param tags object

@description('Name of the profile.')
param name string

@description('Host name of the function app.')
param appHostName string

@description('Host name per contract; keys are prefixes of the app: agentx, dhg, hokusai, indexagent, airflow, evolution.')
param contractHostNames object

@description('Log Analytics workspace.')
param workspaceId string

var contracts = items(contractHostNames)

resource profile 'Microsoft.Cdn/profiles@2024-02-01' = {
  name: name
  location: 'global'
  tags: tags
  sku: { name: 'Standard_AzureFrontDoor' }
  properties: {
    // The app answers uploads of large archives after minutes at most.
    originResponseTimeoutSeconds: 240
  }
}

resource endpoint 'Microsoft.Cdn/profiles/afdEndpoints@2024-02-01' = {
  parent: profile
  name: name
  location: 'global'
  tags: tags
  properties: { enabledState: 'Enabled' }
}

resource originGroup 'Microsoft.Cdn/profiles/originGroups@2024-02-01' = {
  parent: profile
  name: 'app'
  properties: {
    loadBalancingSettings: { sampleSize: 4, successfulSamplesRequired: 3, additionalLatencyInMilliseconds: 50 }
    healthProbeSettings: { probePath: '/health', probeProtocol: 'Https', probeRequestType: 'GET', probeIntervalInSeconds: 60 }
  }
}

resource origin 'Microsoft.Cdn/profiles/originGroups/origins@2024-02-01' = {
  parent: originGroup
  name: 'function-app'
  properties: {
    hostName: appHostName
    originHostHeader: appHostName
    httpsPort: 443
    enforceCertificateNameCheck: true
  }
}

resource allRoute 'Microsoft.Cdn/profiles/afdEndpoints/routes@2024-02-01' = {
  parent: endpoint
  name: 'all'
  properties: {
    originGroup: { id: originGroup.id }
    patternsToMatch: ['/*']
    supportedProtocols: ['Http', 'Https']
    httpsRedirect: 'Enabled'
    forwardingProtocol: 'HttpsOnly'
    linkToDefaultDomain: 'Enabled'
  }
  dependsOn: [origin]
}

resource domains 'Microsoft.Cdn/profiles/customDomains@2024-02-01' = [for contract in contracts: {
  parent: profile
  name: contract.key
  properties: {
    hostName: contract.value
    tlsSettings: { certificateType: 'ManagedCertificate', minimumTlsVersion: 'TLS12' }
  }
}]

resource ruleSets 'Microsoft.Cdn/profiles/ruleSets@2024-02-01' = [for contract in contracts: {
  parent: profile
  name: 'prefix${contract.key}'
}]

resource rules 'Microsoft.Cdn/profiles/ruleSets/rules@2024-02-01' = [for (contract, i) in contracts: {
  parent: ruleSets[i]
  name: 'addPrefix'
  properties: {
    order: 1
    actions: [
      {
        name: 'UrlRewrite'
        parameters: {
          typeName: 'DeliveryRuleUrlRewriteActionParameters'
          sourcePattern: '/'
          destination: '/${contract.key}/'
          preserveUnmatchedPath: true
        }
      }
    ]
  }
}]

resource contractRoutes 'Microsoft.Cdn/profiles/afdEndpoints/routes@2024-02-01' = [for (contract, i) in contracts: {
  parent: endpoint
  name: contract.key
  properties: {
    originGroup: { id: originGroup.id }
    customDomains: [{ id: domains[i].id }]
    ruleSets: [{ id: ruleSets[i].id }]
    patternsToMatch: ['/*']
    supportedProtocols: ['Http', 'Https']
    httpsRedirect: 'Enabled'
    forwardingProtocol: 'HttpsOnly'
    linkToDefaultDomain: 'Disabled'
  }
  dependsOn: [origin, rules[i]]
}]

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: profile
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

@description('Host name that serves all contracts.')
output hostName string = endpoint.properties.hostName

@description('Id that Front Door sends in X-Azure-FDID.')
output frontDoorId string = profile.properties.frontDoorId
