// A file mapped read-only.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <span>

#include "hadal/base/status.h"

namespace hadal::checkpoint {

class MappedFile {
 public:
  // REQUIRES of the caller: nobody shortens the file meanwhile (a read past its end is SIGBUS).
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // An error if size or time of modification differ from those at open().
  Status check_unchanged() const;

 private:
  MappedFile() = default;
  void unmap();

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  timespec modified_{};
};

// The whole of a small text file; refuses one larger than `bytes_max`.
Result<std::string> read_text_file(const std::filesystem::path& path, size_t bytes_max);

}  // namespace hadal::checkpoint
