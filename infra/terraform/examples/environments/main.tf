# Promotion: dev mirrors everything that upstream releases; prod mirrors releases alone, and from dev's
# repository. What was not in dev cannot come to prod, and prod never talks to the internet's registries.

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
  region = var.region
}

module "dev" {
  source = "../.."

  project_id           = var.dev.project_id
  region               = var.region
  image                = var.image
  destination_registry = "${var.region}-docker.pkg.dev/${var.dev.project_id}/mirror"
  allowed_sources      = ["ghcr.io/my-org/*"]
  labels               = { environment = "dev" }
  deletion_protection  = var.deletion_protection

  bridge_principals = {
    dev = { project_id = var.dev.cluster_project_id, project_number = var.dev.cluster_project_number }
  }
}

module "prod" {
  source = "../.."

  project_id           = var.prod.project_id
  region               = var.region
  image                = var.image
  destination_registry = "${var.region}-docker.pkg.dev/${var.prod.project_id}/mirror"
  labels               = { environment = "prod" }
  deletion_protection  = var.deletion_protection

  # The ImageRepositories of the prod cluster name dev's repository.
  allowed_sources     = ["${module.dev.destination_registry}/*"]
  source_repositories = ["projects/${var.dev.project_id}/locations/${var.region}/repositories/mirror"]

  # A released tag is a promise: it does not move, and no rule of dev can delete it.
  destination_repository = { immutable_tags = true }

  mirroring = {
    # No pre-releases.
    semver = ">=1.0.0"
    # The same path below the registry as in dev, by the annotation imagerepo-mirror.io/destination: ghcr.io/my-org/app.
    allowed_destinations = { flux-system = ["ghcr.io/my-org/*"] }
  }

  bridge_principals = {
    prod = { project_id = var.prod.cluster_project_id, project_number = var.prod.cluster_project_number }
  }

  notification_channels = var.notification_channels
}
