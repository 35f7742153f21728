/**
 * The names in use, each with its character: those of HTML 4, of ASCII, of Latin Extended-A (the names of people and
 * towns), of spaces, arrows and signs. The other 1,600 of the standard are for formulas.
 */
const NAMED: ReadonlyMap<string, string> = new Map(pairs([
  "Tab \x09 NewLine \x0a excl ! QUOT,quot \" num # dollar $ percnt % AMP,amp & apos ' lpar ( rpar )",
  "ast,midast * plus + comma , period . sol / colon : semi ; LT,lt < equals = GT,gt > quest ? commat @",
  "lbrack,lsqb [ bsol \\ rbrack,rsqb ] Hat ^ UnderBar,lowbar _ DiacriticalGrave,grave ` lbrace,lcub {",
  "VerticalLine,verbar,vert | rbrace,rcub } NonBreakingSpace,nbsp \xa0 iexcl ¡ cent ¢ pound £ curren ¤ yen ¥",
  "brvbar ¦ sect § die,uml ¨ COPY,copy © ordf ª laquo « not ¬ shy \xad REG,reg ® macr ¯ deg ° plusmn,pm ±",
  "sup2 ² sup3 ³ acute ´ micro µ para ¶ centerdot,middot · cedil ¸ sup1 ¹ ordm º raquo » frac14 ¼ frac12 ½",
  "frac34 ¾ iquest ¿ Agrave À Aacute Á Acirc Â Atilde Ã Auml Ä Aring Å AElig Æ Ccedil Ç Egrave È Eacute É",
  "Ecirc Ê Euml Ë Igrave Ì Iacute Í Icirc Î Iuml Ï ETH Ð Ntilde Ñ Ograve Ò Oacute Ó Ocirc Ô Otilde Õ Ouml Ö",
  "times × Oslash Ø Ugrave Ù Uacute Ú Ucirc Û Uuml Ü Yacute Ý THORN Þ szlig ß agrave à aacute á acirc â",
  "atilde ã auml ä aring å aelig æ ccedil ç egrave è eacute é ecirc ê euml ë igrave ì iacute í icirc î iuml ï",
  "eth ð ntilde ñ ograve ò oacute ó ocirc ô otilde õ ouml ö div,divide ÷ oslash ø ugrave ù uacute ú ucirc û",
  "uuml ü yacute ý thorn þ yuml ÿ Amacr Ā amacr ā Abreve Ă abreve ă Aogon Ą aogon ą Cacute Ć cacute ć Ccirc Ĉ",
  "ccirc ĉ Cdot Ċ cdot ċ Ccaron Č ccaron č Dcaron Ď dcaron ď Dstrok Đ dstrok đ Emacr Ē emacr ē Edot Ė edot ė",
  "Eogon Ę eogon ę Ecaron Ě ecaron ě Gcirc Ĝ gcirc ĝ Gbreve Ğ gbreve ğ Gdot Ġ gdot ġ Gcedil Ģ Hcirc Ĥ hcirc ĥ",
  "Hstrok Ħ hstrok ħ Itilde Ĩ itilde ĩ Imacr Ī imacr ī Iogon Į iogon į Idot İ imath,inodot ı IJlig Ĳ ijlig ĳ",
  "Jcirc Ĵ jcirc ĵ Kcedil Ķ kcedil ķ kgreen ĸ Lacute Ĺ lacute ĺ Lcedil Ļ lcedil ļ Lcaron Ľ lcaron ľ Lmidot Ŀ",
  "lmidot ŀ Lstrok Ł lstrok ł Nacute Ń nacute ń Ncedil Ņ ncedil ņ Ncaron Ň ncaron ň napos ŉ ENG Ŋ eng ŋ Omacr Ō",
  "omacr ō Odblac Ő odblac ő OElig Œ oelig œ Racute Ŕ racute ŕ Rcedil Ŗ rcedil ŗ Rcaron Ř rcaron ř Sacute Ś",
  "sacute ś Scirc Ŝ scirc ŝ Scedil Ş scedil ş Scaron Š scaron š Tcedil Ţ tcedil ţ Tcaron Ť tcaron ť Tstrok Ŧ",
  "tstrok ŧ Utilde Ũ utilde ũ Umacr Ū umacr ū Ubreve Ŭ ubreve ŭ Uring Ů uring ů Udblac Ű udblac ű Uogon Ų",
  "uogon ų Wcirc Ŵ wcirc ŵ Ycirc Ŷ ycirc ŷ Yuml Ÿ Zacute Ź zacute ź Zdot Ż zdot ż Zcaron Ž zcaron ž fnof ƒ",
  "gacute ǵ jmath ȷ circ ˆ caron ˇ breve ˘ dot ˙ ring ˚ ogon ˛ tilde ˜ dblac ˝ Alpha Α Beta Β Gamma Γ Delta Δ",
  "Epsilon Ε Zeta Ζ Eta Η Theta Θ Iota Ι Kappa Κ Lambda Λ Mu Μ Nu Ν Xi Ξ Omicron Ο Pi Π Rho Ρ Sigma Σ Tau Τ",
  "Upsilon Υ Phi Φ Chi Χ Psi Ψ Omega,ohm Ω alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι",
  "kappa κ lambda λ mu μ nu ν xi ξ omicron ο pi π rho ρ sigmaf ς sigma σ tau τ upsilon υ phi φ chi χ psi ψ",
  "omega ω thetasym ϑ upsih ϒ piv ϖ ensp \u2002 emsp \u2003 emsp13 \u2004 emsp14 \u2005 numsp \u2007",
  "puncsp \u2008 thinsp \u2009 hairsp \u200a ZeroWidthSpace \u200b zwnj \u200c zwj \u200d lrm \u200e rlm \u200f",
  "dash,hyphen ‐ ndash – mdash — horbar ― Vert ‖ lsquo ‘ rsquo ’ lsquor,sbquo ‚ ldquo “ rdquo ” bdquo,ldquor „",
  "dagger † Dagger ‡ bull,bullet • nldr ‥ hellip,mldr … permil ‰ prime ′ Prime ″ lsaquo ‹ rsaquo › oline ‾",
  "hybull ⁃ frasl ⁄ MediumSpace \u205f NoBreak \u2060 euro € incare ℅ image ℑ numero № copysr ℗ weierp ℘ real ℜ",
  "TRADE,trade ™ alefsym ℵ frac13 ⅓ frac23 ⅔ frac15 ⅕ frac25 ⅖ frac35 ⅗ frac45 ⅘ frac16 ⅙ frac56 ⅚ frac18 ⅛",
  "frac38 ⅜ frac58 ⅝ frac78 ⅞ larr ← uarr ↑ rarr → darr ↓ harr ↔ varr ↕ nwarr ↖ nearr ↗ searr ↘ swarr ↙ Rarr ↠",
  "map ↦ crarr ↵ lArr ⇐ uArr ⇑ rArr ⇒ dArr ⇓ hArr ⇔ forall ∀ part ∂ exist ∃ empty ∅ nabla ∇ isin ∈ notin ∉ ni ∋",
  "prod ∏ sum ∑ minus − mp ∓ lowast ∗ radic √ prop ∝ infin ∞ ang,angle ∠ and ∧ or ∨ cap ∩ cup ∪ int ∫ there4 ∴",
  "sim ∼ nsim ≁ cong ≅ approx,asymp,thickapprox ≈ ne ≠ equiv ≡ le,leq ≤ ge,geq ≥ sub ⊂ sup ⊃ nsub ⊄ sube ⊆",
  "supe ⊇ oplus ⊕ otimes ⊗ perp ⊥ sdot ⋅ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ telrec ⌕ boxh ─ boxv │ uhblk ▀",
  "lhblk ▄ block █ blk14 ░ blk12 ▒ blk34 ▓ squ,square □ blacksquare,squf ▪ utrif ▴ utri ▵ rtrif ▸ rtri ▹",
  "dtrif ▾ dtri ▿ ltrif ◂ ltri ◃ loz,lozenge ◊ cir ○ xcirc ◯ bigstar,starf ★ star ☆ phone ☎ female ♀ male ♂",
  "spades,spadesuit ♠ clubs,clubsuit ♣ hearts,heartsuit ♥ diams ♦ sung ♪ flat ♭ natural ♮ sharp ♯",
  "check,checkmark ✓ cross ✗ lang ⟨ rang ⟩ xlarr ⟵ xrarr ⟶ blacklozenge,lozf ⧫ fflig ﬀ filig ﬁ fllig ﬂ ffilig ﬃ",
  "ffllig ﬄ",
]));

/** Those that mean their character without a semicolon too (HTML standard, section 13.5). */
const BARE: ReadonlySet<string> = new Set(
  [
    "AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute Icirc",
    "Igrave Iuml LT Ntilde Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc Ugrave Uuml Yacute",
    "aacute acirc acute aelig agrave amp aring atilde auml brvbar ccedil cedil cent copy curren deg divide eacute",
    "ecirc egrave eth euml frac12 frac14 frac34 gt iacute icirc iexcl igrave iquest iuml laquo lt macr micro",
    "middot nbsp not ntilde oacute ocirc ograve ordf ordm oslash otilde ouml para plusmn pound quot raquo reg",
    "sect shy sup1 sup2 sup3 szlig thorn times uacute ucirc ugrave uml uuml yacute yen yuml",
  ].join(" ").split(" "),
);
const MIN_BARE_CHARS = 2;
const MAX_BARE_CHARS = 6;

/**
 * What `&#128;` to `&#159;` mean: the characters of windows-1252 (HTML standard, section 13.2.5.80); five of them are
 * none there.
 */
const WINDOWS_1252 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";

const REFERENCE = /&(?:#[xX]([\da-fA-F]+)|#(\d+)|([A-Za-z][A-Za-z\d]*))(;?)/g;

/**
 * Replaces the character references of HTML as browsers do; what is none stays as it is. Takes time linear in the
 * input.
 *
 * @example
 * ```ts
 * if (decodeEntities("K&ouml;ln &amp Z&#xfc;rich &#128;5 &x;") !== "Köln & Zürich €5 &x;") throw new Error("unexpected");
 * ```
 * @param place in an attribute's value `&copy=1` stays as it is, since it is part of a URL
 */
export function decodeEntities(text: string, place: "text" | "attribute" = "text"): string {
  if (!text.includes("&")) return text;
  return text.replace(REFERENCE, (whole, hex, decimal, name = "", semicolon, offset: number) => {
    if (hex !== undefined) return characterOf(parseInt(hex, 16));
    if (decimal !== undefined) return characterOf(parseInt(decimal, 10));
    // One that we do not know might begin like another that needs no semicolon: `&parallel;` is not `&para` and
    // "llel;".
    if (semicolon !== "") return NAMED.get(name) ?? whole;
    const bare = bareName(name);
    if (bare === undefined) return whole;
    const rest = whole.slice(1 + bare.length);
    if (place === "attribute" && (/^[A-Za-z\d]/.test(rest) || text[offset + whole.length] === "=")) return whole;
    return `${NAMED.get(bare)}${rest}`;
  });
}

/** The longest name at the start of a text that needs no semicolon. */
function bareName(text: string): string | undefined {
  for (let chars = Math.min(text.length, MAX_BARE_CHARS); chars >= MIN_BARE_CHARS; chars--) {
    if (BARE.has(text.slice(0, chars))) return text.slice(0, chars);
  }
  return undefined;
}

function characterOf(point: number): string {
  if (point === 0 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return "\ufffd";
  return point >= 0x80 && point <= 0x9f ? WINDOWS_1252.charAt(point - 0x80) : String.fromCodePoint(point);
}

function* pairs(lines: readonly string[]): Generator<readonly [name: string, character: string]> {
  const words = lines.join(" ").split(" ");
  for (let i = 0; i + 1 < words.length; i += 2) {
    for (const name of words[i]?.split(",") ?? []) yield [name, words[i + 1] ?? ""];
  }
}
