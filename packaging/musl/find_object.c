/* What Debian's libgcc_eh.a (made for glibc) needs to unwind a panic in a static musl program. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* glibc 2.35 <dlfcn.h>: struct dl_find_object. The unwinder reads start, end, link map and the address of .eh_frame_hdr. */
struct found {
	unsigned long long flags;
	void *start, *end, *map, *eh_frame;
	unsigned long long reserved[7];
};

struct wanted {
	uintptr_t address;
	struct found *result;
};

static int look_at(struct dl_phdr_info *object, size_t size, void *argument)
{
	struct wanted *wanted = argument;
	uintptr_t start = 0, end = 0, eh_frame = 0;
	int i;

	(void)size;
	for (i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t at = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_GNU_EH_FRAME)
			eh_frame = at;
		if (segment->p_type == PT_LOAD && wanted->address >= at && wanted->address < at + segment->p_memsz) {
			start = at;
			end = at + segment->p_memsz;
		}
	}
	if (!end || !eh_frame)
		return 0;
	wanted->result->start = (void *)start;
	wanted->result->end = (void *)end;
	wanted->result->eh_frame = (void *)eh_frame;
	return 1;
}

/* glibc's lookup of the object that holds a code address: 0 when found, else -1. musl lacks it. */
int _dl_find_object(void *address, struct found *result)
{
	struct wanted wanted = { (uintptr_t)address, result };

	return dl_iterate_phdr(look_at, &wanted) == 1 ? 0 : -1;
}

/* libgcc names these weakly and calls them once it sees any of them: a static link that takes only some of them in
 * crashes at the first panic. Naming them strongly here takes in all. */
void *const lxbox_keep_pthread[] __attribute__((used)) = {
	(void *)pthread_once,       (void *)pthread_mutex_lock,  (void *)pthread_mutex_unlock,
	(void *)pthread_key_create, (void *)pthread_getspecific, (void *)pthread_setspecific,
};
