# Log-based metrics: every line that the functions write about a tag, an event or requests is the record;
# these count them. The names, fields and labels are those of the functions' catalogue, which a test
# compares. A total (bytes, blobs) is a distribution, whose sum Cloud Monitoring tells.
locals {
  log_metrics = {
    tags = {
      description = "Tags by outcome, except skipped ones; of those not mirrored at most 20 of a kind an event, the others are in tags_untold."
      entry       = "tag"
      unit        = "1"
      labels      = ["outcome"]
    }
    tag_failures = {
      description = "Tags that failed, were lost at the source, or that the destination refused to move, by fault code; at most 20 of a kind an event, the others are in tags_untold."
      entry       = "tag"
      unit        = "1"
      present     = "code"
      labels      = ["code", "outcome"]
    }
    tags_untold = {
      description = "Tags beyond the first 20 of a kind of an event: what tags and tag_failures lack, by outcome and fault code."
      entry       = "tag-kind"
      unit        = "1"
      field       = "untold"
      labels      = ["code", "outcome"]
    }
    tags_skipped = {
      description = "Tags of an event that were at the destination already."
      entry       = "event"
      unit        = "1"
      field       = "skipped"
      labels      = []
    }
    tags_held = {
      description = "Tags of an event that the brake held."
      entry       = "event"
      unit        = "1"
      field       = "held"
      labels      = []
    }
    events = {
      description = "Deliveries by what became of them and why they were published."
      entry       = "event"
      unit        = "1"
      labels      = ["decision", "reason"]
    }
    event_failures = {
      description = "Deliveries that failed as a whole, by fault code."
      entry       = "event"
      unit        = "1"
      present     = "code"
      labels      = ["code", "decision"]
    }
    sources_lost = {
      description = "Events whose whole source repository is not there although Flux found tags in it."
      entry       = "event"
      unit        = "1"
      present     = "announcedTags"
      labels      = []
    }
    heartbeats = {
      description = "Signs of life that arrived, by cluster: each bridge gives one every 5 minutes."
      entry       = "heartbeat"
      unit        = "1"
      labels      = ["cluster"]
    }
    repositories_watched = {
      description = "ImageRepositories that the bridge of a cluster watches, by its signs of life."
      entry       = "heartbeat"
      unit        = "1"
      field       = "watched"
      labels      = ["cluster"]
    }
    repositories_refused = {
      description = "ImageRepositories that the bridge of a cluster does not publish until they are mended, by its signs of life."
      entry       = "heartbeat"
      unit        = "1"
      field       = "refused"
      labels      = ["cluster"]
    }
    event_duration = {
      description = "Time from the arrival of a delivery to its answer."
      entry       = "event"
      unit        = "s"
      field       = "durationSeconds"
      labels      = ["decision"]
    }
    lag = {
      description = "Time from Flux's scan until the last of its tags is mirrored; of changes, also where they were continued, batched or handed to the job."
      entry       = "event"
      unit        = "s"
      field       = "lagSeconds"
      labels      = []
    }
    bytes_uploaded = {
      description = "Bytes sent to the destination by an event."
      entry       = "event"
      unit        = "By"
      field       = "bytesUploaded"
      labels      = []
    }
    bytes_saved = {
      description = "Bytes of blobs that an event needed and that were there, mounted, or brought by another."
      entry       = "event"
      unit        = "By"
      field       = "bytesSaved"
      labels      = []
    }
    blobs_uploaded = {
      description = "Blobs sent to the destination by an event."
      entry       = "event"
      unit        = "1"
      field       = "blobsUploaded"
      labels      = []
    }
    blobs_mounted = {
      description = "Blobs that an event took over from another repository of the destination."
      entry       = "event"
      unit        = "1"
      field       = "blobsMounted"
      labels      = []
    }
    blobs_present = {
      description = "Blobs that an event needed and that were there."
      entry       = "event"
      unit        = "1"
      field       = "blobsPresent"
      labels      = []
    }
    platforms_left_out = {
      description = "Children of indexes that an event left out for their platforms."
      entry       = "event"
      unit        = "1"
      field       = "platformsLeftOut"
      labels      = []
    }
    requests = {
      description = "Requests to registries by host and class of status; none: no answer came."
      entry       = "requests"
      unit        = "1"
      field       = "count"
      labels      = ["host", "class", "side"]
    }
  }

  # Prefix of the metrics' names; several installations in a project count apart.
  metric_prefix = replace(var.name, "-", "_")
  metric_type   = "logging.googleapis.com/user/${local.metric_prefix}"

  # Buckets by unit: powers of a factor, from what is small to what is absurd.
  buckets = {
    "1"  = { scale = 1, growth_factor = 2, num_finite_buckets = 24 }     # to 16 million
    "s"  = { scale = 0.1, growth_factor = 1.5, num_finite_buckets = 40 } # 0.1 s to 12 days
    "By" = { scale = 1024, growth_factor = 4, num_finite_buckets = 20 }  # 1 KiB to 1 PiB
  }

  # Of the lag: one of the bounds is the alert's threshold, for within a bucket nobody knows where a value lies.
  lag_buckets = merge(local.buckets["s"], { scale = var.alert_thresholds.lag_minutes * 60 / pow(local.buckets["s"].growth_factor, 22) })

  # Names, not references: the metrics need not wait for what they count.
  service_names = { for lane in local.lanes : lane => "${var.name}-${lane}" }
  job_name      = "${var.name}-job"
  log_filter = join(" AND ", [
    "resource.type=(\"cloud_run_revision\" OR \"cloud_run_job\")",
    "(resource.labels.service_name=(${join(" OR ", [for name in values(local.service_names) : "\"${name}\""])}) OR resource.labels.job_name=\"${local.job_name}\")",
  ])
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  project     = var.project_id
  name        = "${local.metric_prefix}/${each.key}"
  description = each.value.description
  filter = join(" AND ", concat(
    [local.log_filter, "jsonPayload.entry=\"${each.value.entry}\""],
    [for field in compact([try(each.value.field, null), try(each.value.present, null)]) : "jsonPayload.${field}:*"],
  ))
  value_extractor  = can(each.value.field) ? "EXTRACT(jsonPayload.${each.value.field})" : null
  label_extractors = { for label in each.value.labels : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind  = "DELTA"
    value_type   = can(each.value.field) ? "DISTRIBUTION" : "INT64"
    unit         = each.value.unit
    display_name = "${var.name}: ${each.key}"

    dynamic "labels" {
      for_each = each.value.labels
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  dynamic "bucket_options" {
    for_each = !can(each.value.field) ? [] : [each.key == "lag" ? local.lag_buckets : local.buckets[each.value.unit]]
    content {
      exponential_buckets {
        scale              = bucket_options.value.scale
        growth_factor      = bucket_options.value.growth_factor
        num_finite_buckets = bucket_options.value.num_finite_buckets
      }
    }
  }

  # The provider changes a metric's name by making another and leaving the first where it was.
  lifecycle {
    replace_triggered_by = [terraform_data.metric_prefix]
  }

  depends_on = [google_project_service.this]
}

resource "terraform_data" "metric_prefix" {
  input = local.metric_prefix
}
