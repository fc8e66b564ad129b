# Into what a platform team already has: a repository that another configuration owns, a cluster of another
# project, a secret with credentials, a network with its own way out, an on-call channel. Cloud Build deploys.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.40.0, < 9.0.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

data "google_project" "cluster" {
  project_id = var.cluster_project_id
}

# A wrong name fails the plan.
data "google_container_cluster" "this" {
  project  = var.cluster_project_id
  location = var.region
  name     = var.cluster_name
}

data "google_monitoring_notification_channel" "on_call" {
  display_name = "on-call"
}

module "imagerepo_mirror" {
  source = "../.."

  project_id = var.project_id
  region     = var.region

  image                  = var.image
  image_managed_by_build = true
  build_service_account  = var.build_service_account

  destination_registry   = "${var.region}-docker.pkg.dev/${var.registry_project_id}/images/mirror"
  destination_repository = { create = false }
  allowed_sources        = ["ghcr.io/my-org/*", "quay.io/my-org/*", "my-registry.azurecr.io/team/*"]
  source_credentials     = { create = false, secret_id = "registry-credentials" }

  bridge_principals = {
    (data.google_container_cluster.this.name) = {
      project_id     = var.cluster_project_id
      project_number = data.google_project.cluster.number
    }
  }

  network = {
    network        = var.network
    subnetwork     = var.subnetwork
    static_address = false # the network has a NAT with an address that sources allow
  }

  deletion_protection   = var.deletion_protection
  enable_apis           = false
  notification_channels = [data.google_monitoring_notification_channel.on_call.name]
  labels                = { team = "platform", cost-center = "4711" }
}
