# Makes the target hadal_httplib: cpp-httplib >= 0.41, for src/server and nothing else. Older versions,
# Debian 12's among them, accept unbounded bodies and smuggled requests, so they are refused.
#
# Order: the system's package, else the header that scripts/deps/fetch_httplib.sh cached, else the header
# of the pinned release from GitHub, checked by hash. Options that change the layout of its classes are
# set here only, so that every user sees the same ABI. TLS is left to a proxy in front.

include_guard()

set(HADAL_HTTPLIB_VERSION_MIN 0.41.0)

function(hadal_httplib_system found)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(HTTPLIB QUIET IMPORTED_TARGET cpp-httplib>=${HADAL_HTTPLIB_VERSION_MIN})
  endif()
  if(HTTPLIB_FOUND)
    # Its flags are those it was compiled with, so they come along unchanged.
    add_library(hadal_httplib INTERFACE)
    target_link_libraries(hadal_httplib INTERFACE PkgConfig::HTTPLIB)
    message(STATUS "hadal: cpp-httplib ${HTTPLIB_VERSION} of the system")
  endif()
  set(${found} ${HTTPLIB_FOUND} PARENT_SCOPE)
endfunction()

function(hadal_httplib_header folder)
  file(STRINGS ${folder}/httplib.h line REGEX "define CPPHTTPLIB_VERSION \"" LIMIT_COUNT 1)
  string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" version "${line}")
  if(version VERSION_LESS HADAL_HTTPLIB_VERSION_MIN)
    message(FATAL_ERROR "${folder}/httplib.h is version '${version}', wanted >= ${HADAL_HTTPLIB_VERSION_MIN}; "
      "run scripts/deps/fetch_httplib.sh --force")
  endif()
  add_library(hadal_httplib INTERFACE)
  # SYSTEM: its warnings are not ours to fix.
  target_include_directories(hadal_httplib SYSTEM INTERFACE ${folder})
  # The kernel's backlog of 5 in 0.41 drops connections when a few dozen clients arrive at once.
  # Each idle connection polls at this interval, but only to notice the end of the server: at 0.41's 10 ms a
  # thousand of them keep a core busy.
  target_compile_definitions(hadal_httplib INTERFACE CPPHTTPLIB_LISTEN_BACKLOG=4096
    CPPHTTPLIB_KEEPALIVE_TIMEOUT_CHECK_INTERVAL_USECOND=200000)
  find_package(Threads REQUIRED)
  target_link_libraries(hadal_httplib INTERFACE Threads::Threads)
  message(STATUS "hadal: cpp-httplib ${version} in ${folder}")
endfunction()

# The folder of the cached header, as scripts/deps/fetch_httplib.sh chooses it.
function(hadal_httplib_cache_folder folder)
  if(DEFINED ENV{HADAL_DEPS_DIR})
    set(cache $ENV{HADAL_DEPS_DIR})
  elseif(DEFINED ENV{XDG_CACHE_HOME})
    set(cache $ENV{XDG_CACHE_HOME}/hadal)
  else()
    set(cache $ENV{HOME}/.cache/hadal)
  endif()
  set(${folder} ${cache}/cpp-httplib PARENT_SCOPE)
endfunction()

function(hadal_httplib_download)
  include(FetchContent)
  message(STATUS "hadal: fetching cpp-httplib 0.41.0 (scripts/install_deps.sh avoids this)")
  FetchContent_Declare(hadal_httplib_source
    URL https://raw.githubusercontent.com/yhirose/cpp-httplib/v0.41.0/httplib.h
    URL_HASH SHA256=e9112546cbae828180f72c2ae6da4bfd8d15ae38138bd99b898e5e30128acc28
    DOWNLOAD_NO_EXTRACT TRUE)
  FetchContent_MakeAvailable(hadal_httplib_source)
  hadal_httplib_header(${hadal_httplib_source_SOURCE_DIR})
endfunction()

hadal_httplib_cache_folder(hadal_httplib_folder)
hadal_httplib_system(hadal_httplib_from_system)
if(hadal_httplib_from_system)
elseif(EXISTS ${hadal_httplib_folder}/httplib.h)
  hadal_httplib_header(${hadal_httplib_folder})
else()
  hadal_httplib_download()
endif()
