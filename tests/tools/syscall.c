/* syscall NUMBER [ARGUMENT...]: makes one system call and prints what it gave. Needs no C library, so it runs in any guest:
 *   cc -static -nostdlib -fno-stack-protector -O1 [-m32] -o syscall tests/tools/syscall.c
 * An argument is a number, `=TEXT` (a pointer to it), `@N` (a pointer to N zero bytes, which are printed as hex afterwards), or `:HEX` (a
 * pointer to these bytes). `r` before the number makes the call again and again while it is interrupted. */
typedef unsigned long word;
static char memory[4096];
static word used;

static word call(word n, const word *a) {
#if defined(__x86_64__)
	word result;
	register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
#elif defined(__i386__)
	word result, pushed[2] = {n, a[5]};
	__asm__ volatile("push %%ebp; mov 4(%1), %%ebp; mov (%1), %%eax; int $0x80; pop %%ebp"
		: "=&a"(result) : "r"(pushed), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "memory");
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

static word argument(char *text, word *shown) {
	char *here = memory + used;
	if (*text == '=') return (word)(text + 1);
	if (*text == '@') {
		*shown = number(text + 1);
		used += (*shown + 15) & ~15ul;
		return (word)here;
	}
	if (*text == ':') {
		for (text++; text[0] && text[1]; text += 2) memory[used++] = digit(text[0]) * 16 + digit(text[1]);
		used = (used + 15) & ~15ul;
		return (word)here;
	}
	return number(text);
}

__attribute__((used)) void begin(word *stack) {
	char **argv = (char **)(stack + 1);
	int argc = (int)stack[0], again;
	word a[6] = {0}, shown[6] = {0}, status[6] = {0};
	if (argc < 2) call(EXIT, status);
	again = argv[1][0] == 'r';
	for (int i = 2; i < argc && i < 8; i++) a[i - 2] = argument(argv[i], &shown[i - 2]);
	long result;
	do result = (long)call(number(argv[1] + again), a); while (again && result == -4);
	say_number(result);
	for (int i = 0; i < 6; i++) {
		for (word at = 0; at < shown[i]; at++) {
			unsigned char byte = ((char *)a[i])[at];
			say(&"0123456789abcdef"[byte >> 4], 1);
			say(&"0123456789abcdef"[byte & 15], 1);
		}
		if (shown[i]) say("\n", 1);
	}
	status[0] = result < 0;
	call(EXIT, status);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#elif defined(__i386__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\nmov %esp, %eax\nand $-16, %esp\nsub $12, %esp\npush %eax\ncall begin\n");
#else
__asm__(".globl _start\n_start: mov x0, sp\nbl begin\n");
#endif
