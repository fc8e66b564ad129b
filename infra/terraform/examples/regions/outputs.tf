output "topics" {
  description = "For the bridges, by region."
  value       = { for region, mirror in module.imagerepo_mirror : region => mirror.topics }
}

output "registries" {
  description = "Where each region pulls from."
  value       = { for region, mirror in module.imagerepo_mirror : region => mirror.destination_registry }
}
