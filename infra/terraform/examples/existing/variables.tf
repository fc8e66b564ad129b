variable "project_id" {
  description = "Project of the topics, services and job."
  type        = string
}

variable "registry_project_id" {
  description = "Project of the repository named images."
  type        = string
}

variable "cluster_project_id" {
  description = "Project of the cluster."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster that the bridge runs in."
  type        = string
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "europe-west1"
}

variable "network" {
  description = "Network that the mirror leaves by."
  type        = string
}

variable "subnetwork" {
  description = "Subnetwork of it, at least a /26, with Private Google Access."
  type        = string
}

variable "image" {
  description = "The image of the first deployment, by digest; afterwards Cloud Build says."
  type        = string
}

variable "build_service_account" {
  description = "Account that Cloud Build deploys as."
  type        = string
}

variable "deletion_protection" {
  description = "Whether nothing of it can be deleted. To uninstall: terraform apply -var deletion_protection=false, then terraform destroy with the same."
  type        = bool
  default     = true
  nullable    = false
}
