document.getElementById("respond").submit();
