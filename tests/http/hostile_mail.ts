/** A mail that tries, in every way we know, to run, to fetch, to move or to send something; each way names itself. */
export function hostileHtml(beacon: string): string {
  const at = (name: string) => `${beacon}/${name}`;
  return `<!doctype html><html><head>
<base href="${at("base")}/">
<meta http-equiv="refresh" content="0;url=${at("meta-refresh")}">
<link rel="stylesheet" href="${at("stylesheet")}"><link rel="preload" as="image" href="${at("preload")}">
<link rel="prefetch" href="${at("prefetch")}"><link rel="preconnect" href="${at("preconnect")}">
<link rel="icon" href="${at("icon")}"><link rel="dns-prefetch" href="${at("dns")}">
<link rel="prerender" href="${at("prerender")}"><link rel="modulepreload" href="${at("modulepreload")}">
<script type="speculationrules">{"prefetch":[{"source":"list","urls":["${at("speculation")}"]}]}</script>
<style>@import url("${at("import")}"); body { background: url(${at("css-background")}); }
@font-face { font-family: x; src: url(${at("font")}); } p { font-family: x; }</style>
<script>new Image().src = "${at("script")}"; fetch("${at("fetch")}"); top.location = "${at("top")}";</script>
<script src="${at("script-src")}"></script>
</head><body onload="location='${at("onload")}'" background="${at("body-background")}">
<img src="${at("pixel")}"><img src="x" onerror="new Image().src='${at("onerror")}'">
<img srcset="${at("srcset")} 2x"><picture><source srcset="${at("source")}"><img></picture>
<img src="cid:unknown"><input type="image" src="${at("input")}" autofocus onfocus="location='${at("focus")}'">
<svg onload="location='${at("svg-onload")}'"><image href="${at("svg-image")}"/><use href="${at("svg-use")}#a"/>
<script>location="${at("svg-script")}"</script><foreignObject><iframe src="${
    at("svg-frame")
  }"></iframe></foreignObject></svg>
<math><mtext><table><mglyph><style><img src="${at("math")}"></style></mglyph></table></mtext></math>
<video src="${at("video")}" poster="${at("poster")}" autoplay></video><audio src="${at("audio")}" autoplay></audio>
<object data="${at("object")}"></object><embed src="${at("embed")}"><iframe src="${at("frame")}"></iframe>
<iframe srcdoc="<img src='${at("srcdoc")}'>"></iframe>
<form id="f" action="${at("form")}"><button autofocus>send</button></form><script>f.submit()</script>
<a href="javascript:location='${at("javascript")}'" ping="${at("ping")}">click</a>
<table background="${at("table-background")}"><tr><td style="background:url(${at("td-style")})">x</td></tr></table>
<p style="background-image:image-set(url(${at("image-set")}) 1x);list-style-image:url(${at("list")})">text</p>
<noscript><img src="${at("noscript")}"></noscript><template><img src="${at("template")}"></template>
</body></html>`;
}
