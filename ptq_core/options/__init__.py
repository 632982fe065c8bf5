"""What each room can be told: one frozen dataclass per room. `ptq_core.config` composes them and alone knows YAML."""
