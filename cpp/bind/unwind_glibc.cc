// Lets a wheel built on glibc >= 2.35 load on glibc 2.34: the statically linked GCC unwinder asks glibc for
// _dl_find_object (new in 2.35) to find the exception tables around an address. This hidden definition
// answers from dl_iterate_phdr, which every glibc has. The struct is glibc's <dlfcn.h> interface.
#include <elf.h>
#include <link.h>

#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)

namespace {

struct Query {
  ElfW(Addr) pc;
  dl_find_object* result;
};

// Fills the result where `info` is the object whose loaded segments hold the address; non-zero stops the
// walk.
int match(dl_phdr_info* info, size_t, void* data) {
  auto* query = static_cast<Query*>(data);
  const ElfW(Phdr)* tables = nullptr;
  ElfW(Addr) low = ~ElfW(Addr){0}, high = 0;
  bool inside = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = info->dlpi_phdr[i];
    if (p.p_type == PT_GNU_EH_FRAME) tables = &p;
    if (p.p_type != PT_LOAD) continue;
    const ElfW(Addr) begin = info->dlpi_addr + p.p_vaddr, end = begin + p.p_memsz;
    inside |= begin <= query->pc && query->pc < end;
    low = begin < low ? begin : low;
    high = end > high ? end : high;
  }
  if (!inside || !tables) return 0;
  query->result->dlfo_flags = 0;
  query->result->dlfo_map_start = reinterpret_cast<void*>(low);
  query->result->dlfo_map_end = reinterpret_cast<void*>(high);
  query->result->dlfo_link_map = nullptr;
  query->result->dlfo_eh_frame = reinterpret_cast<void*>(info->dlpi_addr + tables->p_vaddr);
  return 1;
}

}  // namespace

extern "C" __attribute__((visibility("hidden"))) int _dl_find_object(void* pc,
                                                                     dl_find_object* result) noexcept {
  Query query{reinterpret_cast<ElfW(Addr)>(pc), result};
  return dl_iterate_phdr(match, &query) == 1 ? 0 : -1;
}

#endif
#endif
