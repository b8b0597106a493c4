// config.json and its companions, from JSON to validated values. Pure: no file access.
#pragma once

#include <nlohmann/json.hpp>

#include "hadal/base/status.h"
#include "hadal/checkpoint/checkpoint.h"
#include "hadal/core/model_spec.h"

namespace hadal::checkpoint {

// A config that is not the DeepSeek-V3 architecture, or uses a variant of it that this program does
// not compute, is refused naming key, found and wanted.
Result<ModelSpec> parse_model_config(const nlohmann::json& config);

Result<GenerationDefaults> parse_generation_config(const nlohmann::json& config);

// The declared weight format. hf_quant_config.json (`hf_quant`, null if absent) overrides config's
// quantization_config: exporters leave a stale one there.
Result<WeightFormat> parse_quantization(const nlohmann::json& config,
                                        const nlohmann::json& hf_quant);

}  // namespace hadal::checkpoint
