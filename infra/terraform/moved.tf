# Addresses of earlier versions: nothing that is there is made anew, and no grant is away for a moment.

moved {
  from = google_pubsub_subscription_iam_member.mirror_drain
  to   = google_pubsub_subscription_iam_member.mirror_drain["roles/pubsub.subscriber"]
}

# Grants of clusters were kept by cluster, and are by identity now. A grant that is given up under one address
# while it is asked for under another may end as taken away, since both are the same grant. So the old
# addresses are forgotten, not given up.

removed {
  from = google_pubsub_topic_iam_member.bridge_publisher
  lifecycle {
    destroy = false
  }
}

removed {
  from = google_pubsub_topic_iam_member.flux_events_publisher
  lifecycle {
    destroy = false
  }
}

removed {
  from = google_service_account_iam_member.bridge
  lifecycle {
    destroy = false
  }
}
