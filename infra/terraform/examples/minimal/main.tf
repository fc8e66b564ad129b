# The least there is to say: where it runs, what runs, what is mirrored to where.

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
  region  = "europe-west1"
}

module "imagerepo_mirror" {
  source = "../.."

  project_id           = var.project_id
  region               = "europe-west1"
  image                = var.image
  destination_registry = "europe-west1-docker.pkg.dev/${var.project_id}/mirror"
  allowed_sources      = ["ghcr.io/my-org/*", "docker.io/library/*"]

  deletion_protection = var.deletion_protection

  # Who publishes: the bridge of one GKE cluster, by its own identity.
  bridge_principals = {
    prod = { project_id = var.project_id, project_number = var.project_number }
  }
}
