output "registries" {
  description = "Where each environment pulls from."
  value       = { dev = module.dev.destination_registry, prod = module.prod.destination_registry }
}

output "topics" {
  description = "For the bridges, by environment."
  value       = { dev = module.dev.topics, prod = module.prod.topics }
}
