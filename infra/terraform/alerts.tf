# When somebody should look, and what to do then. Each policy's documentation is what the person who is
# woken reads; it names the commands with this installation's names.
locals {
  # Repeating cannot help with these: the delivery is acknowledged, and nothing comes after it. A test
  # compares them with the table of codes.
  permanent_codes = [
    "ADDRESS_REFUSED", "ANNOTATION_INVALID", "CONTINUATIONS_EXHAUSTED", "DESTINATION_FORBIDDEN", "DIGEST_INVALID",
    "DOCKER_CONFIG_INVALID", "EVENT_INVALID", "EVENT_TOO_LARGE", "EVENT_UNDECODABLE", "FOREIGN_LAYER_REFUSED",
    "GRAPH_TOO_LARGE", "INDEX_CHILD_REFUSED", "INDEX_TOO_DEEP", "INSECURE_REFUSED", "KUBECONFIG_INVALID",
    "LIST_TOO_LARGE", "MANIFEST_INVALID", "MANIFEST_REFUSED", "MANIFEST_TOO_LARGE", "MANIFEST_UNSUPPORTED", "NOT_FOUND",
    "OPTION_INVALID", "PAGINATION_REFUSED", "REALM_REFUSED", "REDIRECT_REFUSED", "REFERENCE_INVALID",
    "REQUEST_REFUSED", "RESPONSE_TOO_LARGE", "SOURCE_FORBIDDEN", "SOURCE_INCOMPLETE", "TAG_IMMUTABLE", "TAG_INVALID",
  ]
  any_permanent_code = "one_of(${join(", ", [for code in local.permanent_codes : "\"${code}\""])})"

  # Lines come from the services and from the job: a condition looks at one kind of resource.
  writers = {
    "services" = "resource.type=\"cloud_run_revision\""
    "job"      = "resource.type=\"cloud_run_job\""
  }
  lane_subscriptions = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=one_of(${join(", ", [
    for name in values(local.service_names) : "\"${name}\""
  ])})"

  # What a condition of `log` looks at, in `of` the services or the job.
  log_alerts = {
    permanent-failures = {
      metric   = "tag_failures"
      filter   = "metric.labels.outcome=\"failed\" AND metric.labels.code=${local.any_permanent_code}"
      aligner  = "ALIGN_DELTA"
      period   = 600
      duration = 0
      limit    = 0
      by       = ["metric.labels.code"]
    }
    failed-events = {
      metric   = "event_failures"
      filter   = "metric.labels.decision=\"acknowledge\""
      aligner  = "ALIGN_DELTA"
      period   = 600
      duration = 0
      limit    = 0
      by       = ["metric.labels.code"]
    }
    lasting-failures = {
      metric = "tag_failures"
      filter = "metric.labels.outcome=\"failed\""
      # One failure heals by redelivery; failures in every window of an hour do not.
      aligner  = "ALIGN_DELTA"
      period   = 900
      duration = 3600
      limit    = 0
      by       = ["metric.labels.code"]
    }
    drift = {
      metric   = "tags"
      filter   = "metric.labels.outcome=\"drifted\""
      aligner  = "ALIGN_DELTA"
      period   = 600
      duration = 0
      limit    = 0
      by       = []
    }
    held-tags = {
      metric   = "tags_held"
      filter   = null
      aligner  = "ALIGN_PERCENTILE_99"
      period   = 600
      duration = 0
      limit    = 0
      by       = []
    }
    lag = {
      metric   = "lag"
      filter   = null
      aligner  = "ALIGN_PERCENTILE_95"
      period   = 600
      duration = 0
      limit    = var.alert_thresholds.lag_minutes * 60
      by       = []
    }
  }

  log_conditions = {
    for name, alert in local.log_alerts : name => {
      for writer, resource in local.writers : "${alert.metric} of the ${writer}" => {
        filter      = join(" AND ", compact([resource, "metric.type=\"${local.metric_type}/${alert.metric}\"", alert.filter]))
        aligner     = alert.aligner
        reducer     = startswith(alert.aligner, "ALIGN_PERCENTILE") ? "REDUCE_MAX" : "REDUCE_SUM"
        by          = alert.by
        period      = alert.period
        duration    = alert.duration
        comparison  = "COMPARISON_GT"
        limit       = alert.limit
        absent      = false
        denominator = null
      }
      # Lag and the brake are told by deliveries, which the job has none of.
      if writer == "services" || !contains(["lag", "held-tags"], name)
    }
  }

  product_conditions = {
    dead-letters = {
      "dead letters wait" = {
        filter      = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${var.name}-dead-letter\" AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
        aligner     = "ALIGN_MAX"
        reducer     = "REDUCE_SUM"
        by          = []
        period      = 300
        duration    = 0
        comparison  = "COMPARISON_GT"
        limit       = 0
        absent      = false
        denominator = null
      }
    }
    waiting = {
      "the oldest event waits" = {
        filter      = "${local.lane_subscriptions} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
        aligner     = "ALIGN_MAX"
        reducer     = "REDUCE_MAX"
        by          = ["resource.labels.subscription_id"]
        period      = 300
        duration    = 600
        comparison  = "COMPARISON_GT"
        limit       = var.alert_thresholds.oldest_event_minutes * 60
        absent      = false
        denominator = null
      }
    }
    silence = {
      # Either the topic has no figures at all, or they are zeros.
      "no figures of the events topic" = {
        filter      = local.published
        aligner     = "ALIGN_DELTA"
        reducer     = "REDUCE_SUM"
        by          = []
        period      = 3600
        duration    = var.alert_thresholds.silence_hours * 3600
        comparison  = null
        limit       = null
        absent      = true
        denominator = null
      }
      "nothing published" = {
        filter      = local.published
        aligner     = "ALIGN_DELTA"
        reducer     = "REDUCE_SUM"
        by          = []
        period      = var.alert_thresholds.silence_hours * 3600
        duration    = 0
        comparison  = "COMPARISON_LT"
        limit       = 1
        absent      = false
        denominator = null
      }
    }
    failed-jobs = {
      "executions that failed" = {
        filter      = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=\"${local.job_name}\" AND metric.type=\"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result=\"failed\""
        aligner     = "ALIGN_DELTA"
        reducer     = "REDUCE_SUM"
        by          = []
        period      = 300
        duration    = 0
        comparison  = "COMPARISON_GT"
        limit       = 0
        absent      = false
        denominator = null
      }
    }
    refused-pushes = {
      "more than half of the pushes are not acknowledged" = {
        filter      = "${local.pushes} AND metric.labels.response_class!=\"ack\""
        aligner     = "ALIGN_DELTA"
        reducer     = "REDUCE_SUM"
        by          = ["resource.labels.subscription_id"]
        period      = 600
        duration    = 1800
        comparison  = "COMPARISON_GT"
        limit       = 0.5
        absent      = false
        denominator = local.pushes
      }
    }
  }

  published = "resource.type=\"pubsub_topic\" AND resource.labels.topic_id=\"${local.service_names["events"]}\" AND metric.type=\"pubsub.googleapis.com/topic/send_request_count\""
  pushes    = "${local.lane_subscriptions} AND metric.type=\"pubsub.googleapis.com/subscription/push_request_count\""

  alerts = {
    dead-letters = {
      title    = "events ended as dead letters"
      severity = "ERROR"
      text     = <<-E
        An event could not be mirrored: the subscriber gave it up (attribute `error-code` says why, `error-field` where), or
        Pub/Sub did after ${local.max_delivery_attempts} attempts (attribute `CloudPubSubDeadLetterSourceDeliveryCount`).

        1. Read them without taking them: `gcloud pubsub subscriptions pull ${var.name}-dead-letter --project ${var.project_id} --limit 20 --format json`
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
    lasting-failures = {
      title    = "tags have been failing for an hour"
      severity = "WARNING"
      text     = <<-E
        Failures of the label `code` in every quarter of the last hour. Deliveries repeat, so nothing is lost yet; after
        ${local.max_delivery_attempts} attempts (about 16 hours) events become dead letters.

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
      title    = "95 % of changes take longer than ${var.alert_thresholds.lag_minutes} min to be mirrored"
      severity = "WARNING"
      text     = <<-E
        Time from Flux's scan to mirrored. The dashboard's "How long does it take" shows where: waiting (age of the oldest event)
        or copying (duration). Large images and slow sources copy for minutes; a lane at its limit of instances waits.
      E
    }
    silence = {
      title    = "no event was published for ${var.alert_thresholds.silence_hours} h"
      severity = "ERROR"
      text     = <<-E
        The bridge publishes each object every 12 h even if nothing changes: it is not running, not leader anywhere, or may not publish.

        1. `kubectl -n imagerepo-mirror get pods,lease` and the pods' logs: a refused publish names topic and principal.
        2. The principal must be in `bridge_principals`; `gcloud pubsub topics get-iam-policy ${local.service_names["events"]} --project ${var.project_id}`.
        3. With `--resync-interval 0` or no ImageRepository, silence is right: raise `alert_thresholds.silence_hours` or disable this alert.
      E
    }
    failed-jobs = {
      title    = "an execution of the job failed"
      severity = "ERROR"
      text     = <<-E
        After its last attempt the job put what remains on the dead-letter topic, if it ran at all.

        1. Why: `gcloud run jobs executions list --job ${local.job_name} --project ${var.project_id} --region ${var.region}`, then its log.
        2. Dead letters (their own alert) are sent again as described there.
      E
    }
    refused-pushes = {
      title    = "most pushes are not acknowledged"
      severity = "ERROR"
      text     = <<-E
        More than half of the deliveries of a subscription have been refused for half an hour. By label `response_class`:

        `remote_server_4xx`: 403 is the push identity (role run.invoker, audience), 404 the service's URL, 429 no free instance: normal
        during a backfill. `remote_server_5xx`: the service asks for redelivery; its log says why. `deadline_exceeded`,
        `unreachable`: the service does not answer; look whether its newest revision starts.
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
  }

  alert_strategy {
    auto_close = "604800s"
  }

  dynamic "conditions" {
    for_each = { for name, condition in merge(local.log_conditions, local.product_conditions)[each.key] : name => condition if !condition.absent }
    content {
      display_name = conditions.key
      condition_threshold {
        filter             = conditions.value.filter
        comparison         = conditions.value.comparison
        threshold_value    = conditions.value.limit
        duration           = "${conditions.value.duration}s"
        denominator_filter = conditions.value.denominator

        aggregations {
          alignment_period     = "${conditions.value.period}s"
          per_series_aligner   = conditions.value.aligner
          cross_series_reducer = conditions.value.reducer
          group_by_fields      = conditions.value.by
        }

        dynamic "denominator_aggregations" {
          for_each = conditions.value.denominator[*]
          content {
            alignment_period     = "${conditions.value.period}s"
            per_series_aligner   = conditions.value.aligner
            cross_series_reducer = conditions.value.reducer
            group_by_fields      = conditions.value.by
          }
        }

        trigger {
          count = 1
        }
      }
    }
  }

  dynamic "conditions" {
    for_each = { for name, condition in merge(local.log_conditions, local.product_conditions)[each.key] : name => condition if condition.absent }
    content {
      display_name = conditions.key
      condition_absent {
        filter   = conditions.value.filter
        duration = "${conditions.value.duration}s"

        aggregations {
          alignment_period     = "${conditions.value.period}s"
          per_series_aligner   = conditions.value.aligner
          cross_series_reducer = conditions.value.reducer
          group_by_fields      = conditions.value.by
        }

        trigger {
          count = 1
        }
      }
    }
  }

  # Last of all: see local.service_names.
  depends_on = [
    google_cloud_run_v2_job.mirror,
    google_logging_metric.this,
    google_pubsub_subscription.lane,
  ]
}
