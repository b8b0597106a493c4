#include "checkpoint/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "hadal/base/log.h"

namespace hadal::checkpoint {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(const char* path) : fd_(::open(path, O_RDONLY | O_CLOEXEC)) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error io_error(const std::filesystem::path& path, const char* verb) {
  const int saved = errno;
  const ErrorCode code = saved == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return {code,
          fmt::format("cannot {} {}: {}", verb, printable(path.native()), std::strerror(saved))};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const FileDescriptor fd(path.c_str());
  if (fd.get() < 0) return io_error(path, "open");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return io_error(path, "stat");
  if (!S_ISREG(info.st_mode)) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{} is not a regular file", printable(path.native()))};
  }
  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(info.st_size);
  file.modified_ = info.st_mtim;
  if (file.size_ == 0) return file;  // mmap refuses a length of 0
  void* data = ::mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return io_error(path, "map");
  file.data_ = static_cast<const std::byte*>(data);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept {
  *this = std::move(other);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this == &other) return *this;
  unmap();
  path_ = std::move(other.path_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  modified_ = other.modified_;
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

void MappedFile::unmap() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Status MappedFile::check_unchanged() const {
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0) return io_error(path_, "stat");
  if (static_cast<size_t>(info.st_size) != size_ || info.st_mtim.tv_sec != modified_.tv_sec ||
      info.st_mtim.tv_nsec != modified_.tv_nsec) {
    return Error{ErrorCode::kBadFile,
                 fmt::format("{} changed while it was being read", printable(path_.native()))};
  }
  return {};
}

Result<std::string> read_text_file(const std::filesystem::path& path, size_t bytes_max) {
  HADAL_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() > bytes_max) {
    return Error{ErrorCode::kTooLarge,
                 fmt::format("{} has {} bytes, wanted at most {}", printable(path.native()),
                             bytes.size(), bytes_max)};
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace hadal::checkpoint
