#include "hadal/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <map>
#include <span>
#include <system_error>
#include <utility>

#include "checkpoint/bounded_json.h"
#include "checkpoint/config_parser.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/scales.h"
#include "checkpoint/shard_files.h"
#include "hadal/base/log.h"

namespace hadal {
namespace {

using checkpoint::StoredType;
using nlohmann::json;

constexpr size_t kConfigBytesMax = 1u << 20;

struct Tensor {
  StoredType type;
  std::vector<uint64_t> shape;
  const std::byte* data;
  uint64_t bytes;
  size_t shard;
};

int64_t ceil_div(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

// Names the file in front of what a parser refused.
Error in_file(const std::filesystem::path& file, const Error& error) {
  return {ErrorCode::kBadFile, fmt::format("{}: {}", printable(file.native()), error.message),
          error.param};
}

Result<json> read_json(const std::filesystem::path& file) {
  HADAL_ASSIGN_OR_RETURN(const std::string text, checkpoint::read_text_file(file, kConfigBytesMax));
  return checkpoint::parse_json(text, printable(file.native()));
}

// Null when the file does not exist.
Result<json> read_optional_json(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return json(nullptr);
  return read_json(file);
}

}  // namespace

struct Checkpoint::Impl {
  std::filesystem::path folder;
  ModelSpec spec;
  GenerationDefaults generation;
  WeightFormat declared = WeightFormat::kBf16;
  std::vector<checkpoint::MappedFile> shards;
  std::map<std::string, Tensor, std::less<>> tensors;
  int64_t tensor_bytes = 0;

  Status read_configs();
  Status open_shards();
  Status add_shard(const std::string& name);
  Status check_index(const checkpoint::ShardFiles& files) const;

  Result<const Tensor*> require(const std::string& name, StoredType type,
                                std::span<const uint64_t> shape) const;
  Result<float> scalar(const std::string& name) const;
  Status add_fp8_scales(LinearView& view) const;
  Status add_nvfp4_scales(LinearView& view) const;
  std::string where(const std::string& name, const Tensor& tensor) const {
    return fmt::format("{}: tensor {}", printable(shards[tensor.shard].path().native()),
                       printable(name));
  }
};

Status Checkpoint::Impl::read_configs() {
  const std::filesystem::path config_file = folder / "config.json";
  const std::filesystem::path generation_file = folder / "generation_config.json";
  HADAL_ASSIGN_OR_RETURN(const json config, read_json(config_file));
  HADAL_ASSIGN_OR_RETURN(const json hf_quant, read_optional_json(folder / "hf_quant_config.json"));
  HADAL_ASSIGN_OR_RETURN(const json defaults, read_optional_json(generation_file));

  Result<ModelSpec> parsed = checkpoint::parse_model_config(config);
  if (!parsed) return in_file(config_file, parsed.error());
  spec = *parsed;
  Result<WeightFormat> format = checkpoint::parse_quantization(config, hf_quant);
  if (!format) return in_file(config_file, format.error());
  declared = *format;
  if (defaults.is_null()) return {};
  Result<GenerationDefaults> sampling = checkpoint::parse_generation_config(defaults);
  if (!sampling) return in_file(generation_file, sampling.error());
  generation = *sampling;
  return {};
}

Status Checkpoint::Impl::open_shards() {
  HADAL_ASSIGN_OR_RETURN(const checkpoint::ShardFiles files, checkpoint::find_shard_files(folder));
  shards.reserve(files.names.size());
  for (const std::string& name : files.names) HADAL_RETURN_IF_ERROR(add_shard(name));
  return check_index(files);
}

Status Checkpoint::Impl::add_shard(const std::string& name) {
  HADAL_ASSIGN_OR_RETURN(checkpoint::MappedFile file, checkpoint::MappedFile::open(folder / name));
  const std::string what = printable(file.path().native());
  HADAL_ASSIGN_OR_RETURN(std::vector<checkpoint::TensorEntry> entries,
                         checkpoint::parse_safetensors_header(file.bytes(), what));
  const std::byte* data = file.bytes().data();
  shards.push_back(std::move(file));
  for (checkpoint::TensorEntry& entry : entries) {
    const uint64_t bytes = entry.end - entry.begin;
    const auto [it, inserted] = tensors.try_emplace(
        entry.name,
        Tensor{entry.type, std::move(entry.shape), data + entry.begin, bytes, shards.size() - 1});
    if (!inserted) {
      return Error{
          ErrorCode::kBadFile,
          fmt::format("{}: tensor {} is also in {}, wanted it once", what, printable(entry.name),
                      printable(shards[it->second.shard].path().native()))};
    }
    tensor_bytes += static_cast<int64_t>(bytes);
  }
  return {};
}

// The index may leave tensors out (exporters forget scales), but what it says must be so: else
// shards were mixed up or are missing tensors.
Status Checkpoint::Impl::check_index(const checkpoint::ShardFiles& files) const {
  for (const auto& [tensor, shard] : files.index) {
    const auto it = tensors.find(tensor);
    const bool there =
        it != tensors.end() && shards[it->second.shard].path().filename().native() == shard;
    if (there) continue;
    const std::string found = it == tensors.end()
                                  ? std::string("no shard")
                                  : printable(shards[it->second.shard].path().filename().native());
    return Error{
        ErrorCode::kBadFile,
        fmt::format("{}: tensor {} is in {}, wanted it in {} as the index says",
                    printable(folder.native()), printable(tensor), found, printable(shard))};
  }
  return {};
}

Result<const Tensor*> Checkpoint::Impl::require(const std::string& name, StoredType type,
                                                std::span<const uint64_t> shape) const {
  const auto it = tensors.find(name);
  if (it == tensors.end()) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{}: tensor {} is missing, wanted {} {}", printable(folder.native()),
                             printable(name), name_of(type), checkpoint::shape_text(shape))};
  }
  const Tensor& tensor = it->second;
  if (tensor.type != type ||
      !std::equal(shape.begin(), shape.end(), tensor.shape.begin(), tensor.shape.end())) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{} is {} {}, wanted {} {}", where(name, tensor), name_of(tensor.type),
                             checkpoint::shape_text(tensor.shape), name_of(type),
                             checkpoint::shape_text(shape))};
  }
  return &tensor;
}

// An F32 tensor of one element: ModelOpt writes [], some tools [1].
Result<float> Checkpoint::Impl::scalar(const std::string& name) const {
  const auto it = tensors.find(name);
  const bool one_element = it != tensors.end() && it->second.shape == std::vector<uint64_t>{1};
  const uint64_t one[] = {1};
  HADAL_ASSIGN_OR_RETURN(
      const Tensor* tensor,
      require(name, StoredType::kF32, std::span<const uint64_t>(one, one_element ? 1 : 0)));
  HADAL_RETURN_IF_ERROR(checkpoint::check_f32_scales(tensor->data, 1, where(name, *tensor)));
  return checkpoint::load_f32(tensor->data);
}

Status Checkpoint::Impl::add_fp8_scales(LinearView& view) const {
  const std::string name = view.name + ".weight_scale_inv";
  const uint64_t shape[] = {static_cast<uint64_t>(ceil_div(view.out_features, kFp8Block)),
                            static_cast<uint64_t>(ceil_div(view.in_features, kFp8Block))};
  HADAL_ASSIGN_OR_RETURN(const Tensor* scales, require(name, StoredType::kF32, shape));
  view.format = WeightFormat::kFp8Block;
  view.scales = scales->data;
  return checkpoint::check_f32_scales(scales->data, shape[0] * shape[1], where(name, *scales));
}

Status Checkpoint::Impl::add_nvfp4_scales(LinearView& view) const {
  const std::string name = view.name + ".weight_scale";
  const uint64_t shape[] = {static_cast<uint64_t>(view.out_features),
                            static_cast<uint64_t>(view.in_features / kNvfp4Group)};
  HADAL_ASSIGN_OR_RETURN(const Tensor* scales, require(name, StoredType::kF8E4m3, shape));
  view.format = WeightFormat::kNvfp4;
  view.scales = scales->data;
  HADAL_RETURN_IF_ERROR(
      checkpoint::check_e4m3_scales(scales->data, shape[0] * shape[1], where(name, *scales)));
  HADAL_ASSIGN_OR_RETURN(view.global_scale, scalar(view.name + ".weight_scale_2"));
  if (tensors.contains(view.name + ".input_scale")) {
    HADAL_ASSIGN_OR_RETURN(view.input_scale, scalar(view.name + ".input_scale"));
  }
  return {};
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  auto impl = std::make_unique<Impl>();
  impl->folder = folder;
  HADAL_RETURN_IF_ERROR(impl->read_configs());
  HADAL_RETURN_IF_ERROR(impl->open_shards());
  return Checkpoint(std::move(impl));
}

const ModelSpec& Checkpoint::spec() const {
  return impl_->spec;
}
const GenerationDefaults& Checkpoint::generation_defaults() const {
  return impl_->generation;
}
WeightFormat Checkpoint::declared_format() const {
  return impl_->declared;
}
int64_t Checkpoint::tensor_bytes() const {
  return impl_->tensor_bytes;
}

bool Checkpoint::contains(std::string_view tensor_name) const {
  return impl_->tensors.find(tensor_name) != impl_->tensors.end();
}

std::vector<std::string_view> Checkpoint::tensor_names() const {
  std::vector<std::string_view> names;
  names.reserve(impl_->tensors.size());
  for (const auto& [name, tensor] : impl_->tensors) names.push_back(name);
  return names;
}

Result<LinearView> Checkpoint::linear(const std::string& name, int64_t out_features,
                                      int64_t in_features) const {
  LinearView view{.name = name, .out_features = out_features, .in_features = in_features};
  const std::string weight = name + ".weight";
  const auto it = impl_->tensors.find(weight);
  const StoredType stored = it == impl_->tensors.end() ? StoredType::kBf16 : it->second.type;
  const auto out = static_cast<uint64_t>(out_features);
  const auto in = static_cast<uint64_t>(in_features);
  const uint64_t shape[] = {out, in};

  if (stored == StoredType::kU8) {
    if (in % kNvfp4Group != 0) {
      return Error{ErrorCode::kBadFile,
                   fmt::format("{} is NVFP4 with {} columns, wanted a multiple of {}",
                               impl_->where(weight, it->second), in, kNvfp4Group)};
    }
    const uint64_t packed[] = {out, in / 2};
    HADAL_ASSIGN_OR_RETURN(const Tensor* tensor, impl_->require(weight, stored, packed));
    view.data = tensor->data;
    HADAL_RETURN_IF_ERROR(impl_->add_nvfp4_scales(view));
    return view;
  }
  const bool fp8 = stored == StoredType::kF8E4m3;
  HADAL_ASSIGN_OR_RETURN(const Tensor* tensor,
                         impl_->require(weight, fp8 ? stored : StoredType::kBf16, shape));
  view.data = tensor->data;
  if (fp8) HADAL_RETURN_IF_ERROR(impl_->add_fp8_scales(view));
  return view;
}

Result<VectorView> Checkpoint::vector(const std::string& name, VectorType type,
                                      int64_t size) const {
  const uint64_t shape[] = {static_cast<uint64_t>(size)};
  const StoredType stored = type == VectorType::kF32 ? StoredType::kF32 : StoredType::kBf16;
  HADAL_ASSIGN_OR_RETURN(const Tensor* tensor, impl_->require(name, stored, shape));
  return VectorView{.name = name, .type = type, .size = size, .data = tensor->data};
}

Status Checkpoint::check_unchanged() const {
  for (const checkpoint::MappedFile& shard : impl_->shards) {
    HADAL_RETURN_IF_ERROR(shard.check_unchanged());
  }
  return {};
}

}  // namespace hadal
