variable "dev" {
  description = "Project of the dev mirror, and of the dev cluster."
  type = object({
    project_id             = string
    cluster_project_id     = string
    cluster_project_number = string
  })
}

variable "prod" {
  description = "Project of the prod mirror, and of the prod cluster."
  type = object({
    project_id             = string
    cluster_project_id     = string
    cluster_project_number = string
  })
}

variable "region" {
  description = "Region of both."
  type        = string
  default     = "europe-west1"
}

variable "image" {
  description = "The mirror's image by digest; to promote it too, give each environment its own."
  type        = string
}

variable "notification_channels" {
  description = "Channels that prod's alerts are sent to."
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether nothing of it can be deleted. To uninstall: terraform apply -var deletion_protection=false, then terraform destroy with the same."
  type        = bool
  default     = true
  nullable    = false
}
