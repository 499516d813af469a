/* syscall NUMBER [ARGUMENT...] [-- NUMBER...]: makes system calls, one after the other, and prints what they gave. Needs no C library, so
 * it runs in any guest:
 *   cc -static -nostdlib -fno-stack-protector -fno-pic -no-pie -O1 [-m32] -o syscall tests/tools/syscall.c
 * An argument is a number, `=TEXT` (a pointer to it), `@N` (a pointer to N zero bytes, which are printed as hex afterwards), or `:HEX` (a
 * pointer to these bytes, of which `[HEX]` is a pointer to others, as eight bytes). The status is that of the last call. */
typedef unsigned long word;
static char memory[8192];
static word used;

static word call(word n, const word *a) {
#if defined(__x86_64__)
	word result;
	register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
#elif defined(__i386__)
	word result; /* five arguments are enough */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "memory");
	return result;
#else
	register word x8 __asm__("x8") = n, x0 __asm__("x0") = a[0], x1 __asm__("x1") = a[1], x2 __asm__("x2") = a[2];
	register word x3 __asm__("x3") = a[3], x4 __asm__("x4") = a[4], x5 __asm__("x5") = a[5];
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#endif
}

#if defined(__x86_64__)
enum { WRITE = 1, EXIT = 60 };
#elif defined(__i386__)
enum { WRITE = 4, EXIT = 1 };
#else
enum { WRITE = 64, EXIT = 93 };
#endif

static void say(const char *text, word len) {
	word a[6] = {1, (word)text, len};
	call(WRITE, a);
}

static void say_number(long n) {
	char digits[24];
	int at = 24, negative = n < 0;
	word rest = negative ? -n : n;
	digits[--at] = '\n';
	do digits[--at] = '0' + rest % 10; while (rest /= 10);
	if (negative) digits[--at] = '-';
	say(digits + at, 24 - at);
}

static int digit(char c) { return c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0'; }

static word number(const char *text) {
	int negative = *text == '-', base = 10;
	word n = 0;
	text += negative;
	if (text[0] == '0' && text[1] == 'x') base = 16, text += 2;
	while (*text) n = n * base + digit(*text++);
	return negative ? -n : n;
}

static word bytes(char *text) {
	char *here = memory + used, *to = here;
	used += 256;
	while (*text && *text != ']') {
		if (*text == '[') {
			unsigned long long at = bytes(text + 1);
			for (int i = 0; i < 8; i++) *to++ = at >> 8 * i;
			while (*text++ != ']');
			continue;
		}
		*to++ = digit(text[0]) * 16 + digit(text[1]);
		text += 2;
	}
	return (word)here;
}

static word argument(char *text, word *shown) {
	char *here = memory + used;
	if (*text == '=') return (word)(text + 1);
	if (*text == '@') {
		*shown = number(text + 1);
		used += (*shown + 15) & ~15ul;
		return (word)here;
	}
	if (*text == ':') return bytes(text + 1);
	return number(text);
}

static long once(char **argv, int count) {
	word a[6] = {0}, shown[6] = {0};
	for (int i = 1; i < count && i < 7; i++) a[i - 1] = argument(argv[i], &shown[i - 1]);
	long result = (long)call(number(argv[0]), a);
	say_number(result);
	for (int i = 0; i < 6; i++) {
		for (word at = 0; at < shown[i]; at++) {
			unsigned char byte = ((char *)a[i])[at];
			say(&"0123456789abcdef"[byte >> 4], 1);
			say(&"0123456789abcdef"[byte & 15], 1);
		}
		if (shown[i]) say("\n", 1);
	}
	return result;
}

__attribute__((used)) void begin(word *stack) {
	char **argv = (char **)(stack + 2);
	word status[6] = {0};
	while (*argv) {
		int count = 0;
		while (argv[count] && (argv[count][0] != '-' || argv[count][1] != '-')) count++;
		status[0] = once(argv, count) < 0;
		argv += argv[count] ? count + 1 : count;
	}
	call(EXIT, status);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#elif defined(__i386__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\nmov %esp, %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall begin\n");
#else
__asm__(".globl _start\n_start: mov x0, sp\nbl begin\n");
#endif
