# What an operator asks, in this order: is everything mirrored, how long does it take, what fails, what
# waits, what does it cost. Each line names its project, as the alerts do: a metrics scope may hold several, each
# with an installation of this name. https://docs.cloud.google.com/monitoring/api/v3/filters
locals {
  own_services = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=one_of(${join(", ", [
    for name in values(local.service_names) : "\"${name}\""
  ])})"
  # Names in full: another installation's may begin with this one's.
  own_topics        = "one_of(${join(", ", [for name in concat(values(local.service_names), ["${var.name}-dead-letter", "${var.name}-flux-events"]) : "\"${name}\""])})"
  own_subscriptions = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=${local.own_topics}"

  # Lines are the services' and the job's. The sum of a distribution has no aligner; PromQL knows it.
  writer_filters = { for writer, type in local.writers : writer => "resource.type=\"${type}\"" }
  sum_queries = {
    for writer, type in local.writers : writer => {
      for metric in ["tags_held", "tags_skipped", "bytes_uploaded", "bytes_saved"] :
      metric => "sum(increase(${local.promql_metric}_${metric}_sum{${local.in_project},monitored_resource=\"${type}\"}[$${__interval}]))"
    }
  }

  # Each question's charts; a line is a metric of a resource, with how it is aligned, reduced and grouped,
  # or a PromQL query.
  dashboard = [
    {
      question = "Is everything mirrored?"
      answer   = "Every event that was published is acknowledged in the end; what is `drifted`, `held` or `failed` needs somebody."
      charts = [
        {
          title = "Publishing requests by topic", unit = "1"
          lines = [{
            name   = "$${resource.labels.topic_id}"
            metric = "pubsub.googleapis.com/topic/send_request_count"
            of     = "resource.type=\"pubsub_topic\" AND resource.labels.topic_id=${local.own_topics}"
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["resource.labels.topic_id"]
          }]
        },
        {
          title = "Deliveries by decision", unit = "1"
          lines = [for writer, resource in local.writer_filters : {
            name   = "$${metric.labels.decision} (${writer})"
            metric = "${local.metric_type}/events"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.decision"]
          }]
        },
        {
          title = "Tags by outcome", unit = "1"
          lines = [for writer, resource in local.writer_filters : {
            name   = "$${metric.labels.outcome} (${writer})"
            metric = "${local.metric_type}/tags"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.outcome"]
          }]
        },
        {
          title = "Held by the brake, and unchanged", unit = "1"
          lines = flatten([for writer, queries in local.sum_queries : [for metric in ["tags_held", "tags_skipped"] : {
            name   = "${metric} (${writer})"
            promql = queries[metric]
          }]])
        },
      ]
    },
    {
      question = "What never comes?"
      answer   = "A bridge gives a sign of life every 5 minutes, with the number of ImageRepositories that it watches, and of those that it does not publish (a wrong annotation, two images with one destination; the object has a Warning Event that says why). An object that is missing from both is in another namespace or shard, or has never been scanned."
      charts = [
        {
          title = "Signs of life by cluster", unit = "1"
          lines = [{
            name   = "$${metric.labels.cluster}"
            metric = "${local.metric_type}/heartbeats"
            of     = local.writer_filters["services"]
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.cluster"]
          }]
        },
        {
          title = "ImageRepositories watched, and never published", unit = "1"
          lines = [for metric in ["repositories_watched", "repositories_refused"] : {
            name   = "" # the labels of the query
            promql = "max by (cluster) (increase(${local.promql_metric}_${metric}_sum{${local.in_project},monitored_resource=\"cloud_run_revision\"}[15m]) / increase(${local.promql_metric}_${metric}_count{${local.in_project},monitored_resource=\"cloud_run_revision\"}[15m]))"
          }]
        },
      ]
    },
    {
      question = "How long does it take?"
      answer   = "From Flux's scan to mirrored: waiting for the bridge, for Pub/Sub and a cold start, and copying. A delivery of 540 s was cut by its deadline and went on."
      charts = [
        {
          title = "From Flux's scan to mirrored", unit = "s"
          lines = flatten([for writer, resource in local.writer_filters : [for percentile in ["50", "95", "99"] : {
            name   = "${percentile} % (${writer})"
            metric = "${local.metric_type}/lag"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_PERCENTILE_${percentile}"], by = []
          }]])
        },
        {
          title = "Duration of a delivery (95 %)", unit = "s"
          lines = [for writer, resource in local.writer_filters : {
            name   = "$${metric.labels.decision} (${writer})"
            metric = "${local.metric_type}/event_duration"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_PERCENTILE_95"], by = ["metric.labels.decision"]
          }]
        },
      ]
    },
    {
      question = "What fails?"
      answer   = "By fault code; the log line of each says what to do (`error.advice`)."
      charts = [
        {
          title = "Tags by fault code", unit = "1"
          lines = [for writer, resource in local.writer_filters : {
            name   = "$${metric.labels.code} (${writer})"
            metric = "${local.metric_type}/tag_failures"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.code"]
          }]
        },
        {
          title = "Deliveries by fault code", unit = "1"
          lines = [for writer, resource in local.writer_filters : {
            name   = "$${metric.labels.code} (${writer})"
            metric = "${local.metric_type}/event_failures"
            of     = resource
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.code"]
          }]
        },
        {
          title = "Pushes by answer", unit = "1"
          lines = [{
            name   = "$${metric.labels.response_class}"
            metric = "pubsub.googleapis.com/subscription/push_request_count"
            of     = local.own_subscriptions
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.response_class"]
          }]
        },
        {
          title = "Executions of the job by result", unit = "1"
          lines = [{
            name   = "$${metric.labels.result}"
            metric = "run.googleapis.com/job/completed_execution_count"
            of     = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"${local.job_name}\""
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["metric.labels.result"]
          }]
        },
      ]
    },
    {
      question = "What waits?"
      answer   = "A backlog with instances at their limit of ${var.max_instances} a lane is a backfill; a backlog with idle instances is something that fails again and again."
      charts = [
        {
          title = "Age of the oldest event that is not done", unit = "s"
          lines = [{
            name   = "$${resource.labels.subscription_id}"
            metric = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
            of     = local.own_subscriptions
            stat   = ["ALIGN_MAX", "REDUCE_MAX"], by = ["resource.labels.subscription_id"]
          }]
        },
        {
          title = "Events that are not done, and dead letters", unit = "1"
          lines = [{
            name   = "$${resource.labels.subscription_id}"
            metric = "pubsub.googleapis.com/subscription/num_undelivered_messages"
            of     = local.own_subscriptions
            stat   = ["ALIGN_MAX", "REDUCE_SUM"], by = ["resource.labels.subscription_id"]
          }]
        },
        {
          title = "Instances", unit = "1"
          lines = [{
            name   = "$${resource.labels.service_name}"
            metric = "run.googleapis.com/container/instance_count"
            of     = local.own_services
            stat   = ["ALIGN_MAX", "REDUCE_SUM"], by = ["resource.labels.service_name"]
          }]
        },
      ]
    },
    {
      question = "What does it cost?"
      answer   = "Storage and traffic of the destination, billed time of the services, requests against quotas."
      charts = [
        {
          title = "Bytes sent to the destination, and saved", unit = "By"
          lines = flatten([for writer, queries in local.sum_queries : [for metric in ["bytes_uploaded", "bytes_saved"] : {
            name   = "${metric} (${writer})"
            promql = queries[metric]
          }]])
        },
        {
          title = "Billed time of instances", unit = "s"
          lines = [{
            name   = "$${resource.labels.service_name}"
            metric = "run.googleapis.com/container/billable_instance_time"
            of     = local.own_services
            stat   = ["ALIGN_DELTA", "REDUCE_SUM"], by = ["resource.labels.service_name"]
          }]
        },
        {
          title = "Requests to registries by host and class", unit = "1"
          lines = [for type in values(local.writers) : {
            name   = "" # the labels of the query
            promql = "sum by (host, class) (increase(${local.promql_metric}_requests_sum{${local.in_project},monitored_resource=\"${type}\"}[$${__interval}]))"
          }]
        },
        {
          title = "Size of the destination repository", unit = "By"
          lines = [{
            name    = local.destination.name
            project = local.destination.project
            metric  = "artifactregistry.googleapis.com/repository/size"
            of      = "resource.type=\"artifactregistry.googleapis.com/Repository\" AND resource.labels.location=\"${local.destination.location}\" AND resource.labels.repository_id=\"${local.destination.name}\""
            stat    = ["ALIGN_MEAN", "REDUCE_SUM"], by = []
          }]
        },
        {
          title = "Growth of the destination repository in a week", unit = "By"
          lines = [{
            name = local.destination.name
            # The resource's own label for its project is resource_container: one without project_id is taken too.
            promql = "sum(delta(artifactregistry_googleapis_com:repository_size{project_id=~\"${local.destination.project}|\",location=\"${local.destination.location}\",monitored_resource=\"artifactregistry.googleapis.com/Repository\",repository_id=\"${local.destination.name}\"}[7d]))"
          }]
        },
      ]
    },
  ]

  # A question takes a heading of 3 rows and a row of charts of 16, on a grid of 48 columns. The API answers
  # without what is 0, "" or [], and a plan would want to set it for ever: it is left out.
  dashboard_tiles = flatten([
    for row, group in local.dashboard : concat(
      [{
        for key, value in {
          xPos = 0, yPos = row * 19, width = 48, height = 3
          widget = {
            title = group.question
            text  = { content = group.answer, format = "MARKDOWN" }
          }
        } : key => value if value != 0
      }],
      [for column, chart in group.charts : {
        for key, value in {
          xPos = column * floor(48 / length(group.charts)), yPos = row * 19 + 3, width = floor(48 / length(group.charts)), height = 16
          widget = {
            title = chart.title
            xyChart = {
              yAxis = { scale = "LINEAR" }
              dataSets = [for line in chart.lines : {
                for name, part in {
                  plotType       = "LINE"
                  targetAxis     = "Y1"
                  legendTemplate = line.name
                  timeSeriesQuery = merge(
                    { unitOverride = chart.unit },
                    can(line.promql) ? { prometheusQuery = line.promql } : null,
                    can(line.promql) ? null : {
                      timeSeriesFilter = {
                        filter = "project=\"${try(line.project, var.project_id)}\" AND metric.type=\"${line.metric}\" AND ${line.of}"
                        aggregation = {
                          for argument, setting in {
                            alignmentPeriod    = "300s"
                            perSeriesAligner   = line.stat[0]
                            crossSeriesReducer = line.stat[1]
                            groupByFields      = line.by
                          } : argument => setting if length(setting) > 0
                        }
                      }
                    },
                  )
                } : name => part if part != ""
              }]
            }
          }
        } : key => value if value != 0
      }],
    )
  ])
}

resource "google_monitoring_dashboard" "this" {
  project = var.project_id

  dashboard_json = jsonencode({
    displayName = var.name
    labels      = { app = "imagerepo-mirror" }
    mosaicLayout = {
      columns = 48
      tiles   = local.dashboard_tiles
    }
  })

  depends_on = [google_logging_metric.this]
}
