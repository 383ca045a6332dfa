// What somebody should be woken for. Each rule's description says what to look at first.

@description('Azure region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Log Analytics workspace.')
param workspaceId string

@description('PostgreSQL server.')
param databaseId string

@description('Redis cache.')
param redisId string

@description('Account of the Functions host.')
param hostStorageId string

@description('Whether orchestrations run through the host account\'s queues.')
param watchQueues bool

@description('Who is told.')
param emails array

@description('Percent of requests answered with 5xx that is too many.')
param failedRequestPercent int = 1

@description('Messages waiting in one queue service that are too many.')
param queueLength int = 1000

@description('Percent of the database\'s CPU that is too much.')
param databaseCpuPercent int = 80

@description('Percent of the database\'s storage that is too much.')
param databaseStoragePercent int = 80

@description('Percent of Redis\' memory that is too much.')
param redisMemoryPercent int = 80

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'operators'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'registry'
    enabled: true
    emailReceivers: [for (email, i) in emails: { name: 'operator-${i}', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var logRules = [
  {
    name: 'failed-requests'
    severity: 1
    description: 'More than ${failedRequestPercent} % of the requests of five minutes were answered with 5xx. Look at /health, then at AppExceptions by request id.'
    // ItemCount: a record stands for several where telemetry is sampled. Fewer than 50 requests make no ratio: one failure at night would be 100 %.
    query: 'AppRequests | summarize total = sum(ItemCount), failed = sumif(ItemCount, toint(ResultCode) >= 500) | where total >= 50 | project percent = 100.0 * failed / total'
    measure: 'percent'
    threshold: failedRequestPercent
  }
  {
    name: 'failed-orchestrations'
    severity: 2
    description: 'An orchestration failed: a DAG run, a trial or an index build. Its instance id is in the record; the run\'s own row says the reason.'
    query: 'AppTraces | where tostring(Properties.Category) == "Host.Triggers.DurableTask" | where tostring(Properties.prop__functionType) == "Orchestrator" and tostring(Properties.prop__state) == "Failed" | summarize failed = dcount(tostring(Properties.prop__instanceId))'
    measure: 'failed'
    threshold: 0
  }
  {
    name: 'refused-starts'
    severity: 1
    description: 'An instance refused to start: a setting is missing or the schema is not this build\'s. The line that begins with "Cannot start" names it.'
    query: 'union isfuzzy=true AppTraces, FunctionAppLogs | where Message has "Cannot start:" | summarize refused = count()'
    measure: 'refused'
    threshold: 0
  }
]

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2021-08-01' = [for rule in logRules: {
  name: rule.name
  location: location
  tags: tags
  properties: {
    description: rule.description
    severity: rule.severity
    enabled: true
    scopes: [workspaceId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    // The tables are made when the first record arrives.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: rule.query
          metricMeasureColumn: rule.measure
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: rule.threshold
          failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
        }
      ]
    }
    autoMitigate: true
    actions: { actionGroups: [people.id] }
  }
}]

var metricRules = concat(
  [
    {
      name: 'database-cpu'
      severity: 2
      description: 'PostgreSQL has been busy for a quarter of an hour. Look at Query Store, then at a larger size.'
      resource: databaseId
      space: 'Microsoft.DBforPostgreSQL/flexibleServers'
      metric: 'cpu_percent'
      aggregation: 'Average'
      threshold: databaseCpuPercent
      frequency: 'PT5M'
      window: 'PT15M'
    }
    {
      name: 'database-storage'
      severity: 1
      description: 'PostgreSQL\'s disk fills up. It grows by itself, but a full server turns read-only.'
      resource: databaseId
      space: 'Microsoft.DBforPostgreSQL/flexibleServers'
      metric: 'storage_percent'
      aggregation: 'Average'
      threshold: databaseStoragePercent
      frequency: 'PT5M'
      window: 'PT15M'
    }
    {
      name: 'redis-memory'
      severity: 2
      description: 'Redis fills up and will drop the counters that expire soonest: limits become looser.'
      resource: redisId
      space: 'Microsoft.Cache/redisEnterprise'
      metric: 'usedmemorypercentage'
      aggregation: 'Maximum'
      threshold: redisMemoryPercent
      frequency: 'PT5M'
      window: 'PT15M'
    }
  ],
  watchQueues
    ? [
        {
          name: 'durable-queues'
          severity: 2
          description: 'Orchestration messages pile up: too few Durable instances, or one message that fails again and again. Azure counts queues once an hour.'
          resource: '${hostStorageId}/queueServices/default'
          space: 'Microsoft.Storage/storageAccounts/queueServices'
          metric: 'QueueMessageCount'
          aggregation: 'Average'
          threshold: queueLength
          frequency: 'PT1H'
          window: 'PT1H'
        }
      ]
    : []
)

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [for rule in metricRules: {
  name: rule.name
  location: 'global'
  tags: tags
  properties: {
    description: rule.description
    severity: rule.severity
    enabled: true
    scopes: [rule.resource]
    evaluationFrequency: rule.frequency
    windowSize: rule.window
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: rule.name
          metricNamespace: rule.space
          metricName: rule.metric
          timeAggregation: rule.aggregation
          operator: 'GreaterThan'
          threshold: rule.threshold
        }
      ]
    }
    actions: [{ actionGroupId: people.id }]
  }
}]
