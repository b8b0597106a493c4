// hadal_kernel_bench [--json FILE] [--commit HASH] [FAMILY...]
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "hadal/device/error.h"
#include "kernels/families.h"

namespace hadal::bench {

Status run_case(Session& session, const Case& measured) {
  HADAL_ASSIGN_OR_RETURN(const Measurement result,
                         measure(measured, session.ceilings, session.stream));
  session.report.add(measured, result);
  return {};
}

namespace {

struct Family {
  const char* name;
  Status (*run)(Session&);
};
constexpr Family kFamilies[] = {
    {"fp8_gemm", bench_fp8_gemm}, {"mla", bench_mla}, {"moe", bench_moe}, {"norm", bench_norm}};

struct Arguments {
  std::string json;
  std::string commit = "unknown";
  std::vector<std::string> families;
};

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--json" && i + 1 < argc) {
      arguments.json = argv[++i];
    } else if (word == "--commit" && i + 1 < argc) {
      arguments.commit = argv[++i];
    } else if (word.starts_with("--")) {
      return Error{ErrorCode::kInvalidArgument, fmt::format("unknown flag {}", word)};
    } else {
      arguments.families.push_back(word);
    }
  }
  return arguments;
}

bool wanted(const Arguments& arguments, const std::string& family) {
  if (arguments.families.empty()) return true;
  for (const std::string& name : arguments.families) {
    if (name == family) return true;
  }
  return false;
}

Status run(const Arguments& arguments) {
  HADAL_ASSIGN_OR_RETURN(const device::Stream stream, device::Stream::create());
  int multiprocessors = 0;
  HADAL_RETURN_IF_CUDA_ERROR(
      cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0));
  HADAL_ASSIGN_OR_RETURN(const Ceilings ceilings, measure_ceilings(stream.view()));
  Report report(ceilings, arguments.commit);
  report.print_header();
  Session session{ceilings, report, stream.view(), multiprocessors};
  for (const Family& family : kFamilies) {
    if (wanted(arguments, family.name)) HADAL_RETURN_IF_ERROR(family.run(session));
  }
  if (!arguments.json.empty()) HADAL_RETURN_IF_ERROR(report.write_json(arguments.json));
  return {};
}

}  // namespace
}  // namespace hadal::bench

int main(int argc, char** argv) {
  const auto arguments = hadal::bench::parse(argc, argv);
  const hadal::Status done = arguments ? hadal::bench::run(*arguments) : arguments.error();
  if (done) return 0;
  fmt::print(stderr, "hadal_kernel_bench: {}\n", done.error().message);
  return 1;
}
