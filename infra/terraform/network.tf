# Optional: the service leaves by a network of yours (private sources, a registry that allows addresses).
locals {
  uses_static_address = var.network == null ? false : var.network.static_address
}

resource "google_compute_address" "egress" {
  count = local.uses_static_address ? 1 : 0

  project     = var.project_id
  region      = var.region
  name        = "${var.name}-egress"
  description = "What sources see of ${var.name}; allow it there"
  labels      = local.labels

  depends_on = [google_project_service.this]
}

resource "google_compute_router" "egress" {
  count = local.uses_static_address ? 1 : 0

  project = var.project_id
  region  = var.region
  name    = "${var.name}-egress"
  network = var.network.network

  depends_on = [google_project_service.this]
}

resource "google_compute_router_nat" "egress" {
  count = local.uses_static_address ? 1 : 0

  project                            = var.project_id
  region                             = var.region
  name                               = "${var.name}-egress"
  router                             = google_compute_router.egress[0].name
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.egress[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  # An instance opens at most 32 connections to an origin; the default of 64 ports would do for two
  # origins, and ports rest 2 minutes after use.
  min_ports_per_vm = 256

  subnetwork {
    name                    = var.network.subnetwork
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
