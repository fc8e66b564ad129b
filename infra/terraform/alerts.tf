# When somebody should look, and what to do then. Each policy's documentation is what the person who is
# woken reads; it names the commands with this installation's names. infra/README.md has the table of
# situations, and a test evaluates every condition on lines that the product wrote in them.
#
# Conditions are PromQL: it sums over the services and the job, it knows what is absent, and its check that a
# metric exists can be switched off. Cloud Monitoring takes up to 10 minutes to know a new log-based metric,
# and refuses every other kind of condition on it until then.
# https://docs.cloud.google.com/monitoring/promql/create-promql-alerts
locals {
  # Nobody can mend these: the delivery is acknowledged, and nothing comes after it. A test compares
  # them with the table of codes.
  permanent_codes = [
    "DIGEST_INVALID", "EVENT_INVALID", "EVENT_TOO_LARGE", "EVENT_UNDECODABLE", "FOREIGN_LAYER_REFUSED", "GRAPH_TOO_LARGE",
    "INDEX_CHILD_REFUSED", "INDEX_TOO_DEEP", "LIST_TOO_LARGE", "MANIFEST_INVALID", "MANIFEST_REFUSED", "MANIFEST_TOO_LARGE",
    "MANIFEST_UNSUPPORTED", "NOT_FOUND", "REFERENCE_INVALID", "SOURCE_INCOMPLETE", "TAG_IMMUTABLE", "TAG_INVALID",
  ]

  # Lines come from the services and from the job.
  writers = {
    "services" = "cloud_run_revision"
    "job"      = "cloud_run_job"
  }

  # Log-based metrics in PromQL. https://docs.cloud.google.com/monitoring/promql/promql-mapping
  promql_metric = "logging_googleapis_com:user_${local.metric_prefix}"

  # Of this project alone: a query sees every project of the metrics scope, and another one may have an installation of
  # the same name (dev and prod). https://docs.cloud.google.com/monitoring/settings
  in_project = "project_id=\"${var.project_id}\""

  # What a condition looks at: a metric's increase within a window, of services and job, grouped, above a limit.
  log_alerts = {
    permanent-failures = {
      of       = [{ metric = "tag_failures", labels = { outcome = "failed", code = local.permanent_codes } }]
      by       = ["code"]
      window   = "10m"
      duration = 0
      logs     = "jsonPayload.entry=\"tag\" AND jsonPayload.outcome=\"failed\" AND jsonPayload.code=(${join(" OR ", [for code in local.permanent_codes : "\"${code}\""])})"
    }
    failed-events = {
      of       = [{ metric = "event_failures", labels = { decision = "acknowledge", code = local.permanent_codes } }]
      by       = ["code"]
      window   = "10m"
      duration = 0
      logs     = "jsonPayload.entry=\"event\" AND jsonPayload.decision=\"acknowledge\" AND jsonPayload.code:*"
    }
    lost-sources = {
      of       = [{ metric = "sources_lost", labels = {} }]
      by       = []
      window   = "10m"
      duration = 0
      logs     = "jsonPayload.entry=\"event\" AND jsonPayload.announcedTags>0 AND jsonPayload.code=\"SOURCE_LOST\""
    }
    lasting-failures = {
      # What repeats (permanent codes have their own alert), of tags and of whole repositories: a list that answers
      # 401 has no tags. A delivery takes 9 minutes at most and comes again after 10 at most, so what fails on fails in
      # every half hour. A tag that failed among others that were mirrored goes on in a message of its own: only where
      # deliveries are asked for again does it fail on, so one of many in a backfill is no trouble.
      of = [
        { metric = "tag_failures", labels = { outcome = "failed" }, but = { code = local.permanent_codes }, lasting = true },
        { metric = "event_failures", labels = { decision = "retry" } },
      ]
      by       = ["code"]
      window   = "30m"
      duration = 3600
      logs     = "jsonPayload.code:* AND (jsonPayload.outcome=\"failed\" OR jsonPayload.decision=\"retry\")"
    }
    drift = {
      of       = [{ metric = "tags", labels = { outcome = "drifted" } }]
      by       = []
      window   = "10m"
      duration = 0
      logs     = "jsonPayload.entry=\"tag\" AND jsonPayload.outcome=\"drifted\""
    }
    held-tags = {
      of       = [{ metric = "tags_held_sum", labels = {} }]
      by       = []
      window   = "10m"
      duration = 0
      logs     = "jsonPayload.entry=\"event\" AND jsonPayload.held>0"
    }
  }

  # `increase(metric{…}[window])` of each writer, added up by the labels.
  log_queries = {
    for name, alert in local.log_alerts : name => join("\nor\n", flatten([
      for each in alert.of : [
        for writer in values(local.writers) : format(
          "sum%s (increase(%s_%s{%s}[%s])) > 0%s",
          length(alert.by) == 0 ? "" : " by (${join(", ", alert.by)})", local.promql_metric, each.metric,
          join(",", concat(
            [local.in_project, "monitored_resource=\"${writer}\""],
            [for label, value in try(each.but, {}) : "${label}!~\"${join("|", value)}\""],
            [for label, value in each.labels : can(tostring(value)) ? "${label}=\"${value}\"" : "${label}=~\"${join("|", value)}\""],
          )),
          alert.window,
          try(each.lasting, false) ? " and on () (sum(increase(${local.promql_metric}_events{${local.in_project},monitored_resource=\"${writer}\",decision=\"retry\"}[${alert.window}])) > 0)" : "",
        )
      ]
    ]))
  }

  subscriptions_of_events = concat(values(local.service_names), var.accept_flux_events ? ["${var.name}-flux-events"] : [])
  event_subscriptions     = "${local.in_project},monitored_resource=\"pubsub_subscription\",subscription_id=~\"${join("|", local.subscriptions_of_events)}\""

  # Of each service, so that one's refusals are not hidden by what another takes. A lane's subscription is named as its
  # service; Flux's pushes to that of live changes. 429 is a lane at its limit of instances: Pub/Sub waits and comes
  # again. What the service itself asks to have again it has said in a line of its own, and is no refused push.
  pushes_of_services = "sum by (service_name) (label_replace(increase(pubsub_googleapis_com:subscription_push_request_count{%s}[10m]), \"service_name\", \"$1$2\", \"subscription_id\", \"(${var.name})(?:-flux)?(-events|-bulk)\"))"
  pushes             = format(local.pushes_of_services, "${local.event_subscriptions},response_code!~\"429|resource_exhausted\"")
  refused_pushes     = format(local.pushes_of_services, "${local.event_subscriptions},response_class!=\"ack\",response_code!~\"429|resource_exhausted\"")
  asked_again        = "(sum by (service_name) (increase(${local.promql_metric}_events{${local.in_project},monitored_resource=\"cloud_run_revision\",decision=\"retry\"}[10m])) or 0 * ${local.refused_pushes})"

  queries = merge(
    { for name, query in local.log_queries : name => { query = query, duration = local.log_alerts[name].duration, logs = local.log_alerts[name].logs } },
    {
      lag = {
        query = join("\nor\n", [
          for writer in values(local.writers) :
          "histogram_quantile(0.95, sum by (le) (increase(${local.promql_metric}_lag_bucket{${local.in_project},monitored_resource=\"${writer}\"}[10m]))) > ${var.alert_thresholds.lag_minutes * 60}"
        ])
        duration = 0
        logs     = "jsonPayload.entry=\"event\" AND jsonPayload.lagSeconds>${var.alert_thresholds.lag_minutes * 60}"
      }
      dead-letters = {
        query    = "max(pubsub_googleapis_com:subscription_num_undelivered_messages{${local.in_project},monitored_resource=\"pubsub_subscription\",subscription_id=\"${var.name}-dead-letter\"}) > 0"
        duration = 0
        logs     = "jsonPayload.entry=\"event\" AND jsonPayload.decision=\"dead-letter\""
      }
      waiting = {
        query    = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{${local.event_subscriptions}}) > ${var.alert_thresholds.oldest_event_minutes * 60}"
        duration = 600
        logs     = "jsonPayload.entry=\"event\" AND jsonPayload.decision=\"retry\""
      }
      failed-jobs = {
        query    = "sum(increase(run_googleapis_com:job_completed_execution_count{${local.in_project},monitored_resource=\"cloud_run_job\",job_name=\"${local.job_name}\",result=\"failed\"}[10m])) > 0"
        duration = 0
        logs     = "resource.type=\"cloud_run_job\" AND severity>=WARNING"
      }
      refused-pushes = {
        query    = "(${local.refused_pushes} - ${local.asked_again}) / ${local.pushes} > 0.5"
        duration = 1800
        logs     = "resource.type=\"cloud_run_revision\" AND severity>=WARNING"
      }
    },
    {
      # One for each bridge, also for one that has never given a sign of life. The figures are the subscriber's:
      # what arrived, not what was sent.
      for cluster in keys(var.bridge_principals) : "silent-bridge ${cluster}" => {
        query    = "absent_over_time(${local.promql_metric}_heartbeats{${local.in_project},monitored_resource=\"cloud_run_revision\",cluster=\"${cluster}\"}[${var.alert_thresholds.silence_minutes}m])\nor\nsum(increase(${local.promql_metric}_heartbeats{${local.in_project},monitored_resource=\"cloud_run_revision\",cluster=\"${cluster}\"}[${var.alert_thresholds.silence_minutes}m])) < 0.5"
        duration = 0
        logs     = "jsonPayload.entry=\"heartbeat\" AND jsonPayload.cluster=\"${cluster}\""
      }
    },
  )

  # Section of infra/README.md, for the link.
  runbook_sections = {
    dead-letters       = "dead-letters"
    drift              = "drift"
    failed-events      = "fault-codes"
    failed-jobs        = "the-job-does-every-copy"
    held-tags          = "held-tags"
    lag                = "metrics-and-alerts"
    lasting-failures   = "fault-codes"
    lost-sources       = "lost-sources"
    permanent-failures = "fault-codes"
    refused-pushes     = "metrics-and-alerts"
    silent-bridge      = "a-silent-bridge"
    waiting            = "metrics-and-alerts"
  }

  alerts = merge(local.alert_texts, {
    for cluster in keys(var.bridge_principals) : "silent-bridge ${cluster}" => {
      title    = "the bridge of ${cluster} has been silent for ${var.alert_thresholds.silence_minutes} min"
      severity = "ERROR"
      text     = <<-E
        A bridge publishes a sign of life every 5 minutes, with the name of its cluster (`CLUSTER_NAME`: it must be `${cluster}`), and the
        service counts what arrives. None arrived: the bridge is not running, not leader anywhere, or may not publish. Of a cluster
        that is new in `bridge_principals` none can have: this closes by itself once its bridge is installed.

        1. `kubectl -n imagerepo-mirror get pods,lease` and the pods' logs: a refused publish names topic and principal.
        2. Its principal in `bridge_principals`; `gcloud pubsub topics get-iam-policy ${local.service_names["events"]} --project ${var.project_id}`.
        3. If every bridge is silent, look at the service: the alerts "pushes are refused" and "events wait".
        4. The cluster is gone for good: take it out of `bridge_principals`.
      E
    }
  })

  alert_texts = {
    dead-letters = {
      title    = "events ended as dead letters"
      severity = "ERROR"
      text     = <<-E
        An event could not be mirrored: the subscriber gave it up (attribute `error-code` says why, `error-field` where), or
        Pub/Sub did after ${local.max_delivery_attempts} attempts (attribute `CloudPubSubDeadLetterSourceDeliveryCount`).

        1. Read them (they are hidden for a minute and 10 s, then back): `gcloud pubsub subscriptions pull ${var.name}-dead-letter --project ${var.project_id} --limit 20 --format json`
        2. Mend the cause: the code is explained in the log line of the same event, and in infra/README.md.
        3. Send them again: `gcloud run jobs execute ${local.job_name} --project ${var.project_id} --region ${var.region} --args=--drain,${var.name}-dead-letter,--republish,${var.name}-bulk`

        The alert closes when the subscription is empty.
      E
    }
    waiting = {
      title    = "events wait longer than ${var.alert_thresholds.oldest_event_minutes} min"
      severity = "WARNING"
      text     = <<-E
        The oldest event of a lane is not done. Either it fails again and again, or there is more work than instances.

        1. What fails: the service's log with `jsonPayload.decision="retry"`; the field `error` names code, side and what to do.
        2. If nothing fails and instances are at the limit (dashboard, "What waits"), it is a backfill: wait, or raise `max_instances`.
        3. `RATE_LIMITED` at the source: more instances make it worse; credentials for the source raise its limit.
      E
    }
    permanent-failures = {
      title    = "tags failed for good"
      severity = "ERROR"
      text     = <<-E
        A tag could not be mirrored and is not tried again by itself; the others of its repository were. The label `code` says why.

        1. The line: `jsonPayload.entry="tag" AND jsonPayload.outcome="failed"` in the logs of ${var.name}; `error.advice` says what to do.
        2. After mending, ask again: annotate the ImageRepository with `imagerepo-mirror.io/requestedAt="$(date -u +%FT%TZ)"`.
      E
    }
    failed-events = {
      title    = "repositories failed for good"
      severity = "ERROR"
      text     = <<-E
        A whole repository could not be mirrored and its event was acknowledged, because repeating cannot help.

        The line: `jsonPayload.entry="event" AND jsonPayload.code:*` in the logs of ${var.name}; `error.advice` says what to do. After
        mending, annotate the ImageRepository with `imagerepo-mirror.io/requestedAt="$(date -u +%FT%TZ)"`.
      E
    }
    lost-sources = {
      title    = "a source that had tags is not there"
      severity = "ERROR"
      text     = <<-E
        The registry answers 404 for a repository in which Flux found tags. Registries that hide private repositories say so where
        credentials have expired or lack a permission; or it was deleted, renamed or made private. Nothing is deleted at the destination.

        1. Which: `jsonPayload.code="SOURCE_LOST"` in the logs of ${var.name}; `jsonPayload.image` is the repository.
        2. Try its credentials: `crane ls IMAGE`, with the docker config of the secret. A new version of the secret is read within 5 minutes.
        3. Then annotate the ImageRepository with `imagerepo-mirror.io/requestedAt="$(date -u +%FT%TZ)"`; the next change and the
           next resync ask again by themselves.
      E
    }
    lasting-failures = {
      title    = "tags or repositories have been failing for an hour"
      severity = "WARNING"
      text     = <<-E
        Failures of the label `code`, of tags or of whole repositories, throughout the last hour. Deliveries repeat, so nothing is
        lost yet; after ${local.max_delivery_attempts} attempts (about 16 hours) events become dead letters.

        `UNAUTHORIZED`, `FORBIDDEN`: credentials of the source (a new version of the secret is read within 5 minutes) or the mirror's
        role on the destination. `RATE_LIMITED`: the source's limit; fewer instances or credentials. `NETWORK`, `TIMEOUT`,
        `SERVER_ERROR`: the registry named in the line.
      E
    }
    drift = {
      title    = "tags differ from their source and may not be moved"
      severity = "WARNING"
      text     = <<-E
        A tag points at another digest than at its source, and `on_drift` = report or the repository's immutable tags forbid moving it.

        1. Which: `jsonPayload.outcome="drifted"` in the logs of ${var.name}; `previousDigest` is here, `digest` at the source.
        2. If the source is right: delete the tag at the destination, or allow it to move, and annotate the ImageRepository with
           `imagerepo-mirror.io/requestedAt`. If the source is wrong, its owner should know: somebody moved a released tag.
      E
    }
    held-tags = {
      title    = "the brake holds tags"
      severity = "WARNING"
      text     = <<-E
        More tags of a repository are missing than `MAX_MISSING_TAGS` allows; the newest were copied, the others are held.

        1. How many and where: `jsonPayload.entry="event" AND jsonPayload.held>0` in the logs of ${var.name}.
        2. If all are wanted: annotate the ImageRepository with `imagerepo-mirror.io/requestedAt="$(date -u +%FT%TZ)"`, once.
        3. If not: select, by annotations of the ImageRepository or `mirroring.latest`, `semver`, `include`.
      E
    }
    lag = {
      title    = "changes take longer than ${var.alert_thresholds.lag_minutes} min to be mirrored"
      severity = "WARNING"
      text     = <<-E
        More than one of 20 changes does (the 95th percentile): time from Flux's scan until the last of its tags is mirrored, also where the work was continued, divided into batches or
        handed to the job. The dashboard's "How long does it take" shows where: waiting (age of the oldest event)
        or copying (duration). Large images and slow sources copy for minutes; a lane at its limit of instances waits. Dead letters that
        are sent again, and what a replay (seek) finds deleted, count from the scan of then: they say nothing of now.
      E
    }
    failed-jobs = {
      title    = "an execution of the job failed"
      severity = "ERROR"
      text     = <<-E
        What the service had handed over, the job put on the dead-letter topic after its last attempt, if it ran at all. What somebody
        started by hand, a drain or a republication, has left where it was what it could not do; its last line says so.

        1. Why: `gcloud run jobs executions list --job ${local.job_name} --project ${var.project_id} --region ${var.region}`, then its log.
        2. Dead letters (their own alert) are sent again as described there.
        3. An execution that ended before it began (an option is refused, the image does not start) has left none. What it was to do is
           the variable EVENT of `gcloud run jobs executions describe EXECUTION --project ${var.project_id} --region ${var.region}`.
           Mend the cause, then have its ImageRepository published again with the annotation requestedAt; its next resync does so too.
      E
    }
    refused-pushes = {
      title    = "pushes are refused"
      severity = "ERROR"
      text     = <<-E
        More than half of the deliveries to a service have failed for half an hour without the service having asked for redelivery. What is
        refused for want of a free instance (429) is not counted: that is a backfill. On the dashboard, "Pushes by answer":

        `remote_server_4xx`: 403 is the push identity (role run.invoker, audience), 404 the service's URL. `remote_server_5xx`,
        `deadline_exceeded`, `unreachable`: the service does not answer; look whether its newest revision starts.
      E
    }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  project               = var.project_id
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = local.labels

  documentation {
    mime_type = "text/markdown"
    subject   = "${var.name}: ${each.value.title}"
    content   = each.value.text

    links {
      display_name = "Log lines"
      url = format(
        "https://console.cloud.google.com/logs/query;query=%s?project=%s",
        replace(urlencode("${local.log_filter} AND ${local.queries[each.key].logs}"), "+", "%20"), var.project_id,
      )
    }

    dynamic "links" {
      for_each = var.runbook_url[*]
      content {
        display_name = "Runbook"
        url          = "${links.value}#${local.runbook_sections[split(" ", each.key)[0]]}"
      }
    }
  }

  alert_strategy {
    auto_close = "604800s"
  }

  conditions {
    display_name = each.value.title
    condition_prometheus_query_language {
      query                     = local.queries[each.key].query
      duration                  = "${local.queries[each.key].duration}s"
      evaluation_interval       = "60s"
      disable_metric_validation = true
    }
  }

  depends_on = [google_logging_metric.this]
}
